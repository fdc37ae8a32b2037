"""Draw figures of one study from its tables, each as SVG and PNG."""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from gradreg import metrics, pictures, plots, style


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "figures", nargs="+", help=f"{', '.join(plots.__all__)}; gallery_MODEL and dreams_MODEL for one network"
    )
    parser.add_argument("--validation", required=True, help="measurements of the selection runs")
    parser.add_argument("--history", required=True, help="training histories of the selection runs")
    parser.add_argument("--test", required=True, help="measurements of the final runs")
    parser.add_argument("--transfer", help="what is made for some networks, shown to others")
    parser.add_argument("--galleries", nargs="+", default=[], help="galleries of all networks")
    parser.add_argument("--dataset", required=True, help="data set, as the tables name it")
    parser.add_argument("--n-train", type=int, help="training images of the final runs; all sizes unless given")
    parser.add_argument("--selections", type=json.loads, help="model: training images of its selection runs, as JSON")
    parser.add_argument("--out", required=True, type=Path, help="folder")
    args = parser.parse_args()
    style.use()

    def of_selection(path: str) -> pd.DataFrame:
        table = metrics.read(path)
        table = table[table.dataset == args.dataset]
        return table[table.n_train == table.model.map(args.selections)] if args.selections else table

    test, validation, history = metrics.read(args.test), of_selection(args.validation), of_selection(args.history)
    test = test[test.dataset == args.dataset]
    test = test if args.n_train is None else test[test.n_train == args.n_train]
    tables = {
        "validation_error": (validation, test),
        "learning_curves": (history, test),
        "probe": (history, test),
        "error_and_gradient": (validation,),
        "transfer": (metrics.read(args.transfer),) if args.transfer else (),
        "transfer_matrix": (metrics.read(args.transfer),) if args.transfer else (),
    }
    for name in args.figures:
        kind, _, model = name.partition("_")
        if kind in ("gallery", "dreams"):
            figure = getattr(pictures, kind)(args.galleries, model)
        else:
            figure = getattr(plots, name)(*tables.get(name, (test,)))
        style.save(figure, args.out / f"{name}.svg", args.out / f"{name}.png")
        plt.close(figure)
        print(name, flush=True)


if __name__ == "__main__":
    main()

"""Draw figures of one study from its tables, each as SVG and PNG."""

import argparse
import functools
import json
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from gradreg import cli
from gradreg.reporting import plots
from gradreg.reporting.plots import images, style
from gradreg.storage import metrics

DRAWN_FROM = {
    "validation_error": ("validation", "test"),
    "learning_curves": ("history", "test"),
    "probe": ("history", "test"),
    "error_and_gradient": ("validation",),
    "transfer": ("transfer",),
    "transfer_matrix": ("transfer",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "figures", nargs="+", help=f"{', '.join(plots.__all__)}; gallery_MODEL and dreams_MODEL for one network"
    )
    parser.add_argument("--validation", help="measurements of the selection runs")
    parser.add_argument("--history", help="training histories of the selection runs")
    parser.add_argument("--test", required=True, help="measurements of the final runs")
    parser.add_argument("--transfer", help="what is made for some networks, shown to others")
    parser.add_argument("--galleries", nargs="+", default=[], help="galleries of all networks")
    parser.add_argument("--dataset", required=True, help="data set, as the tables name it")
    parser.add_argument("--n-train", type=int, help="training images of the final runs; all sizes unless given")
    parser.add_argument("--selections", type=json.loads, help="model: training images of its selection runs, as JSON")
    parser.add_argument("--out", required=True, type=Path, help="folder")
    args = parser.parse_args()
    style.use()

    @functools.cache
    def table(kind: str) -> pd.DataFrame:
        """The rows of one of the files that the study has."""
        found = metrics.read(getattr(args, kind))
        if kind == "transfer":
            return found
        found = found[found.dataset == args.dataset]
        if kind == "test":
            return found if args.n_train is None else found[found.n_train == args.n_train]
        return found[found.n_train == found.model.map(args.selections)]

    for name in args.figures:
        kind, _, model = name.partition("_")
        if kind in ("gallery", "dreams"):
            figure = getattr(images, kind)(args.galleries, model)
        else:
            figure = getattr(plots, name)(*map(table, DRAWN_FROM.get(name, ("test",))))
        style.save(figure, args.out / f"{name}.svg", args.out / f"{name}.png")
        plt.close(figure)
        print(name, flush=True)


if __name__ == "__main__":
    cli.run(main)

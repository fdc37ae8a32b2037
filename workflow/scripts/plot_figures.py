"""Draw figures of one study from its tables, each as SVG and PNG."""

import argparse
import functools
import json
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from gradreg import cli
from gradreg.planning.attacked import Criterion
from gradreg.reporting.plots import errors, images, reproduction, style, theory, training_norm, transfer, trust
from gradreg.reporting.reproduction import table as beside_literature
from gradreg.storage import metrics

FIGURES: dict[str, tuple[Callable[..., Figure], list[str]]] = {  # name: function, and the tables that it takes
    "alignment": (theory.alignment, ["test"]),
    "attack_strength": (trust.attack_strength, ["test"]),
    "error_and_gradient": (theory.error_and_gradient, ["validation"]),
    "estimates": (trust.estimates, ["test"]),
    "gradient_norms": (theory.gradient_norms, ["test"]),
    "learning_curves": (errors.learning_curves, ["history", "test"]),
    "linearisation": (theory.linearisation, ["test"]),
    "noise": (errors.noise, ["test"]),
    "norm_matrix": (errors.norm_matrix, ["test"]),
    "objectives": (errors.objectives, ["test"]),
    "probe": (trust.probe, ["history", "test"]),
    "robust_error": (errors.robust_error, ["test"]),
    "sample_size": (errors.sample_size, ["test"]),
    "training_norm": (training_norm.training_norm, ["history", "test"]),
    "transfer": (transfer.transfer, ["transfer"]),
    "transfer_matrix": (transfer.transfer_matrix, ["transfer"]),
    "validation_error": (errors.validation_error, ["validation", "test"]),
}
GALLERIES = {"gallery": images.gallery, "dreams": images.dreams}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "figures", nargs="+", help=f"{', '.join(FIGURES)}; gallery_MODEL and dreams_MODEL for one network"
    )
    parser.add_argument("--validation", help="measurements of the selection runs")
    parser.add_argument("--history", help="training histories of the selection runs")
    parser.add_argument("--test", required=True, help="measurements of the final runs")
    parser.add_argument("--transfer", help="errors of networks on perturbations made for others")
    parser.add_argument("--galleries", nargs="+", default=[], help="galleries of all networks")
    parser.add_argument("--dataset", required=True, help="data set, as the tables name it")
    parser.add_argument("--n-train", type=int, help="training images of the final runs; all sizes unless given")
    parser.add_argument("--selections", type=json.loads, help="model: training images of its selection runs, as JSON")
    parser.add_argument("--by", default={}, type=json.loads, help="the error that settings competed by, as JSON")
    parser.add_argument("--literature", default=[], type=json.loads, help="errors to compare, as JSON")
    parser.add_argument("--width", type=float, default=style.TEXT_WIDTH, help="inches that figures are wide at most")
    parser.add_argument("--out", required=True, type=Path, help="folder")
    args = parser.parse_args()
    style.use(args.width)

    @functools.cache
    def table(name: str) -> pd.DataFrame:
        """The rows of one table that belong to the study."""
        rows = metrics.read(getattr(args, name))
        if name == "transfer":
            return rows
        rows = rows[rows.dataset == args.dataset]
        if name == "test":
            return rows if args.n_train is None else rows[rows.n_train == args.n_train]
        return rows[rows.n_train == rows.model.map(args.selections)]

    for name in args.figures:
        gallery, _, model = name.partition("_")
        if gallery in GALLERIES:
            figure = GALLERIES[gallery](args.galleries, model)
        elif name == "reproduction":
            figure = reproduction.reproduction(beside_literature(table("test"), args.literature))
        elif name == "validation_error":
            figure = errors.validation_error(table("validation"), table("test"), Criterion(**args.by))
        else:
            function, names = FIGURES[name]
            figure = function(*map(table, names))
        style.save(figure, args.out / f"{name}.svg", args.out / f"{name}.png")
        plt.close(figure)
        print(name, flush=True)


if __name__ == "__main__":
    cli.run(main)

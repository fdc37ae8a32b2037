"""Draw one figure of one data set from its tables."""

import argparse

import pandas as pd

from gradreg import metrics, pictures, plots, style


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "figure",
        choices=[
            "validation_error",
            "robust_error",
            "norm_matrix",
            "learning_curves",
            "gradient_norms",
            "objectives",
            "sample_size",
            "gallery",
        ],
    )
    parser.add_argument("--validation", help="measurements of the selection runs")
    parser.add_argument("--history", help="training histories of the selection runs")
    parser.add_argument("--test", help="measurements of the final runs")
    parser.add_argument("--galleries", nargs="+", help="galleries of one network")
    parser.add_argument("--dataset", help="data set, as the tables name it")
    parser.add_argument("--n-train", type=int, help="training images of the final runs")
    parser.add_argument("--n-selection", type=int, help="training images of the selection runs")
    parser.add_argument("--out", required=True, nargs="+", help="files to write; the suffix says the format")
    args = parser.parse_args()
    style.use()

    def own(path: str, n_train: int) -> pd.DataFrame:
        table = metrics.read(path)
        return table[(table.dataset == args.dataset) & (table.n_train == n_train)]

    def selection(path: str) -> pd.DataFrame:
        return own(path, args.n_selection)

    def final() -> pd.DataFrame:
        return own(args.test, args.n_train)

    def all_sizes() -> pd.DataFrame:
        table = metrics.read(args.test)
        return table[table.dataset == args.dataset]

    figure = {
        "validation_error": lambda: plots.validation_error(selection(args.validation), final()),
        "robust_error": lambda: plots.robust_error(final()),
        "norm_matrix": lambda: plots.norm_matrix(final()),
        "learning_curves": lambda: plots.learning_curves(selection(args.history), final()),
        "gradient_norms": lambda: plots.gradient_norms(final()),
        "objectives": lambda: plots.objectives(final()),
        "sample_size": lambda: plots.sample_size(all_sizes()),
        "gallery": lambda: pictures.gallery(args.galleries),
    }[args.figure]()
    style.save(figure, *args.out)


if __name__ == "__main__":
    main()

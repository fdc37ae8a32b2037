"""The errors of several finished or published experiments in one table, with their numbers of images and seeds."""

import argparse
from pathlib import Path

import pandas as pd

from gradreg import cli
from gradreg.reporting import across, tables
from gradreg.storage import metrics
from gradreg.storage.files import write_text

RESULTS = Path("results")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiments", nargs="*", help="their names; by default all but those at smoke scale")
    parser.add_argument("--out", type=Path, default=RESULTS / "comparison", help="folder")
    args = parser.parse_args()
    there = {folder.name: folder for folder in (*found(RESULTS / "published"), *found(RESULTS))}
    names = args.experiments or [name for name in there if not name.endswith("-smoke")]
    for name in names:
        if name not in there:
            parser.error(f"there is no experiment {name}; there are {', '.join(there) or 'none'}")
    table = across.beside([part for name in names for part in across.errors(name, *read(there[name]))])
    metrics.write(args.out / "errors.csv", table)
    write_text(args.out / "errors.md", f"{tables.to_markdown(table)}\n{tables.NOTE}\n")
    write_text(args.out / "errors.tex", tables.to_latex({"": table}, tables.NOTE))
    print(tables.to_markdown(table), args.out / "errors.md", sep="\n")


def found(folder: Path) -> list[Path]:
    """The experiments of a folder: those of the results come before what is published under the same name."""
    return sorted(file.parents[1] for file in folder.glob("*/metrics/test.csv"))


def read(folder: Path) -> tuple[pd.DataFrame, dict[tuple[str, int], pd.DataFrame]]:
    """Measurements of an experiment, and its comparisons by data set and number of training images."""
    test = metrics.read(folder / "metrics" / "test.csv")
    files = {study: folder / "tables" / "{}-{}".format(*study) / "comparison.csv" for study in studies(test)}
    return test, {study: metrics.read(file) for study, file in files.items() if file.exists()}


def studies(test: pd.DataFrame) -> set[tuple[str, int]]:
    return set(test[["dataset", "n_train"]].itertuples(index=False, name=None))


if __name__ == "__main__":
    cli.run(main)

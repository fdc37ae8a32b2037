"""The errors of several experiments in one table."""

from collections.abc import Iterator

import pandas as pd

from gradreg.planning import numerals
from gradreg.reporting import tables
from gradreg.reporting.summaries import ANY_NORM


def errors(name: str, test: pd.DataFrame, compared: dict[tuple[str, int], pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """The rows of one experiment, a table per data set and number of training images.

    test: measurements of its final runs. compared: what ``tables.comparisons`` found, where that is known, by the same
    two. Beside the columns of ``tables.networks``: the experiment, the data, and how many images were trained on,
    tested and attacked by the multi-step attack. Columns of strong attacks have the names that the experiments give
    them.
    """
    for (dataset, n_train), study in test.groupby(["dataset", "n_train"], sort=False):
        before = compared.get((dataset, n_train))
        known = None if before is None else tables.compared_before(before, study)
        table = tables.networks(study, known).rename(columns=_in_full(study))
        about = {
            "experiment": name,
            "data": dataset,
            "training images": n_train,
            "test images": _images(study[study.attack == "none"]),
            "images, multi-step": _images(study[study.attack == "multi_step"]),
        }
        for i, (column, value) in enumerate(about.items()):
            table.insert(i, column, value)
        yield table


def beside(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """These tables below each other; columns that some of them lack have a dash there."""
    return pd.concat([part.astype(object) for part in parts], ignore_index=True).fillna("–")


def _in_full(study: pd.DataFrame) -> dict[str, str]:
    """Headings of errors in any of several norms, which differ between experiments: with these norms."""
    headings = ((heading, p) for _, p, _, heading in tables.measured(study) if numerals.is_joined(p))
    return {heading: heading.replace(ANY_NORM, f"any norm of {p}") for heading, p in headings}


def _images(rows: pd.DataFrame) -> int:
    return int(rows[rows.metric == "error"].n.max()) if len(rows) else 0

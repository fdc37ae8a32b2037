"""The choice among the settings of one group."""

import math
from collections.abc import Sequence

import pandas as pd

from gradreg.planning.attacked import Criterion


def choose(errors: Sequence[Sequence[float]]) -> int:
    """The index of the setting with the least mean error over its seeds; the first of equal ones.

    Means that differ by rounding only count as equal. Raises ValueError when a setting has no error at all.
    """
    if any(len(values) == 0 for values in errors) or not errors:
        raise ValueError("a setting without any validation error cannot compete")
    means = [math.fsum(values) / len(values) for values in errors]
    least = min(means)
    return next(i for i, mean in enumerate(means) if mean <= least + 1e-12)


def errors(table: pd.DataFrame, by: Criterion) -> pd.DataFrame:
    """The rows of a table of measurements with the error that settings compete by."""
    at = (table.attack == by.attack) & (table.attack_p == by.p) & (table.attack_eps == by.eps)
    return table[at & (table.metric == "error")]

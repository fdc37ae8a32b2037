"""The choice among the settings of one group."""

import math
from collections.abc import Sequence


def choose(errors: Sequence[Sequence[float]]) -> int:
    """The index of the setting with the least mean error over its seeds; the first of equal ones.

    Means that differ by rounding only count as equal. Raises ValueError when a setting has no error at all.
    """
    if any(len(values) == 0 for values in errors) or not errors:
        raise ValueError("a setting without any validation error cannot compete")
    means = [math.fsum(values) / len(values) for values in errors]
    least = min(means)
    return next(i for i, mean in enumerate(means) if mean <= least + 1e-12)

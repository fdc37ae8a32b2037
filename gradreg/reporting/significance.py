"""Whether two ways of training differ: per image, over seeds, and corrected for how often it was asked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

LEVEL = 0.95
FEWEST = 5  # seeds of either side; with fewer nothing is claimed


@dataclass(frozen=True)
class Difference:
    """A difference of mean errors, its 95 % interval, and the p-value of there being none (nan: too few seeds)."""

    mean: float
    low: float
    high: float
    p_value: float


def difference(ours: NDArray[Any], theirs: NDArray[Any]) -> Difference:
    """The difference of two errors, ours - theirs, as it would be over other seeds and other images.

    ours (S, N), theirs (T, N): whether network s answered image i wrongly, for the same images. Its variance has a part
    from the images, var_i(mean over seeds of ours_i - that of theirs_i) / N, and a part from the seeds, var_s(error of
    s) / S on each side; what one network does on one image is in both, and is taken out once (two-way clustering:
    Cameron, Gelbach and Miller 2011). Interval and p-value are those of Student's distribution, with the degrees of
    freedom of the seeds' part (Welch and Satterthwaite). A bootstrap over images and seeds would count that residual
    three times (Owen 2007), and McNemar's test of one seed would say nothing of another. With fewer than FEWEST seeds
    on a side nothing is claimed: nan. Raises ValueError when the images differ in number.
    """
    if ours.shape[1] != theirs.shape[1]:
        raise ValueError(f"outcomes of {ours.shape[1]} and {theirs.shape[1]} images cannot be compared")
    mean = float(ours.mean() - theirs.mean())
    if min(len(ours), len(theirs)) < FEWEST:
        return Difference(mean, math.nan, math.nan, math.nan)
    of_images = float((ours.mean(0) - theirs.mean(0)).var(ddof=1)) / ours.shape[1]
    sides = [_of_seeds(side.astype(float)) for side in (ours, theirs)]
    of_seeds = sum(seeds for seeds, _ in sides)
    variance = max(of_images + of_seeds - sum(residual for _, residual in sides), of_images, of_seeds)
    if variance == 0:
        return Difference(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    known = sum(seeds**2 / (len(side) - 1) for (seeds, _), side in zip(sides, (ours, theirs), strict=True))
    freedom = variance**2 / known if known else math.inf
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * math.sqrt(variance)
    return Difference(mean, mean - half, mean + half, 2 * float(stats.t.sf(abs(mean) / math.sqrt(variance), freedom)))


def _of_seeds(errors: NDArray[Any]) -> tuple[float, float]:
    """Of errors (S, N): the variance of their mean by seeds, and that by what is one network's on one image alone."""
    seeds, images = errors.shape
    residual = errors - errors.mean(0) - errors.mean(1, keepdims=True) + errors.mean()
    own = float((residual**2).sum()) / ((seeds - 1) * (images - 1))
    return float(errors.mean(1).var(ddof=1)) / seeds, own / (seeds * images)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm 1979), nan where there was none."""
    known = [i for i, value in enumerate(p_values) if not math.isnan(value)]
    corrected = [math.nan] * len(p_values)
    if known:
        for i, value in zip(known, multipletests([p_values[i] for i in known], method="holm")[1], strict=True):
            corrected[i] = float(value)
    return corrected

"""Whether two trainings differ: over seeds and images, corrected for the number of comparisons."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

from gradreg.reporting.summaries import LEVEL

FEWEST = 5  # seeds on either side; with fewer there is no P value


@dataclass(frozen=True)
class Difference:
    """A difference of mean errors, its 95 % interval and its P value; nan with too few seeds."""

    mean: float
    low: float
    high: float
    p_value: float


def difference(first: NDArray[Any], second: NDArray[Any]) -> Difference:
    """The difference of two errors, first - second, and how far it would vary with other seeds and other images.

    first (S, N), second (T, N): whether network s misclassifies image i, for the same images. The variance has a part
    from the images, var_i(mean over seeds of first_i - that of second_i) / N, and a part from the seeds, var_s(error of
    s) / S on each side. The residual of one network on one image is in both parts, and is subtracted once (two-way
    clustering: Cameron, Gelbach and Miller 2011). Interval and P value are those of Student's distribution, with the
    degrees of freedom of the seeds' part (Welch and Satterthwaite). A bootstrap over images and seeds would count the
    residual three times (Owen 2007), and McNemar's test of one seed says nothing about another seed. With fewer than
    FEWEST seeds on a side, or one image, interval and P value are nan. Raises ValueError when the images differ in
    number.
    """
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"outcomes of {first.shape[1]} and {second.shape[1]} images cannot be compared")
    mean = float(first.mean() - second.mean())
    if not is_enough(first, second):
        return Difference(mean, math.nan, math.nan, math.nan)
    by_images = float((first.mean(0) - second.mean(0)).var(ddof=1)) / first.shape[1]
    sides = [_variances(side.astype(float)) for side in (first, second)]
    by_seeds = sum(seeds for seeds, _ in sides)
    variance = max(by_images + by_seeds - sum(residual for _, residual in sides), by_images, by_seeds)
    if variance == 0:
        return Difference(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    of_variance = sum(seeds**2 / (len(side) - 1) for (seeds, _), side in zip(sides, (first, second), strict=True))
    freedom = variance**2 / of_variance if of_variance else math.inf
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * math.sqrt(variance)
    return Difference(mean, mean - half, mean + half, 2 * float(stats.t.sf(abs(mean) / math.sqrt(variance), freedom)))


def is_enough(first: Sequence[NDArray[Any]] | NDArray[Any], second: Sequence[NDArray[Any]] | NDArray[Any]) -> bool:
    """Whether outcomes, by network, say something of other seeds and images: FEWEST seeds a side, and two images."""
    return min(len(first), len(second)) >= FEWEST and len(first[0]) >= 2


def _variances(errors: NDArray[Any]) -> tuple[float, float]:
    """The variance of the mean of errors (S, N) by seeds, and that by the residuals of single networks and images."""
    seeds, images = errors.shape
    residual = errors - errors.mean(0) - errors.mean(1, keepdims=True) + errors.mean()
    variance = float((residual**2).sum()) / ((seeds - 1) * (images - 1))
    return float(errors.mean(1).var(ddof=1)) / seeds, variance / (seeds * images)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number (Holm 1979); nan stays nan."""
    known = [i for i, value in enumerate(p_values) if not math.isnan(value)]
    corrected = [math.nan] * len(p_values)
    if known:
        for i, value in zip(known, multipletests([p_values[i] for i in known], method="holm")[1], strict=True):
            corrected[i] = float(value)
    return corrected

"""What all figures share: grids of panels, lines, legends, axes."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from gradreg.planning import numerals
from gradreg.reporting import summaries
from gradreg.reporting.plots import style
from gradreg.reporting.summaries import Training

ERROR = "error, %"
FAR = 4  # times plain's error: an axis that reaches further is logarithmic
FEWEST = 3  # seeds; an interval from two is 13 times as wide as the distance between them
FLAGGED: dict[str, Any] = {"ls": "", "marker": "s", "ms": 7, "mfc": "none", "mec": "#AA0000", "mew": 0.9}
PLAIN_LINE: dict[str, Any] = {"color": style.BASELINE["color"], "ls": "--"}
LITERATURE_LINE: dict[str, Any] = {"color": "#000000", "ls": ":", "lw": 0.8}


def grid(
    rows: int,
    columns: int,
    *,
    width: float | None = None,
    height: float = 1.75,
    sharex: bool | Literal["row", "col"] = False,
    sharey: bool | Literal["row", "col"] = False,
) -> tuple[Figure, np.ndarray]:
    """Panels that fill the width of the text, or of a given width each; sizes in inches."""
    size = (width * columns if width else style.TEXT_WIDTH, height * rows + 0.45)
    figure, axes = plt.subplots(rows, columns, figsize=size, sharex=sharex, sharey=sharey, squeeze=False)
    return figure, axes


def label_edges(axes: np.ndarray, titles: Sequence[str], xlabels: Sequence[str], ylabels: Sequence[str]) -> None:
    """Titles above the columns, x labels below them, y labels left of the rows.

    Each goes to the outermost visible panel; titles may be left out.
    """
    for column, xlabel in zip(axes.T, xlabels, strict=True):
        lowest = [ax for ax in column if ax.get_visible()][-1]
        lowest.set_xlabel(xlabel)
        lowest.tick_params(labelbottom=True)
    for column, title in zip(axes.T, titles, strict=False):
        next(ax for ax in column if ax.get_visible()).set_title(title)
    for row, ylabel in zip(axes, ylabels, strict=True):
        first = next(ax for ax in row if ax.get_visible())
        first.set_ylabel(ylabel)
        first.tick_params(labelleft=True)


def label_rows(ax: Axes, names: Sequence[str]) -> None:
    """A y axis with a name per row, the first on top."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)


def curve(table: pd.DataFrame, by: str, fewest: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The numerals of a column as sorted numbers, and at each the mean of ``value`` over seeds and its half-width.

    The half-width is 0 with fewer than ``fewest`` seeds.
    """
    summary = summaries.over_seeds(table, [by])
    x = summary[by].map(numerals.parse).to_numpy(float)
    half = summary.half.where(summary.seeds >= fewest, 0).to_numpy()
    order = np.argsort(x)
    return x[order], summary["mean"].to_numpy()[order], half[order]


def baseline(clean: pd.DataFrame, chosen: pd.DataFrame) -> pd.Series:
    """Errors of the chosen baseline setting over its selection seeds."""
    objective = chosen[chosen.p == "none"].objective.iloc[0]
    return clean[(clean.p == "none") & (clean.objective == objective)].value


def dash(training: Training) -> dict[str, Any]:
    """A dashed line for plain, a solid line for all others."""
    return {"ls": "--" if training.plain else "-"}


def ring() -> Line2D:
    """The legend's entry for chosen settings."""
    return Line2D([], [], ls="", marker="o", ms=8, mfc="none", mec="#444444", label="chosen")


def trainings(
    parts: Sequence[tuple[list[str], pd.DataFrame]],
) -> tuple[list[Training], dict[Training, dict[str, Any]]]:
    """The trainings of all parts of a figure in order, and the look of each."""
    ordered = sorted({training for _, part in parts for training in part.training})
    return ordered, style.series(ordered)


def handles(looks: dict[Training, dict[str, Any]], tables: Sequence[pd.DataFrame]) -> list[Line2D]:
    """A legend entry per training of some tables, with the number of its replicas that diverged, and when."""
    table = pd.concat(tables)
    entries = []
    for training in sorted(set(table.training)):
        lost = summaries.divergence(table[table.training == training])
        label = style.training_name(training) + (f", diverged: {lost}" if lost else "")
        entries.append(Line2D([], [], label=label, **looks[training]))
    return entries


def log_axis(ax: Axes, axis: Literal["x", "y"] = "y") -> None:
    """A logarithmic axis with its numbers in full."""
    ax.set(**{f"{axis}scale": "log"})
    formatted = ax.xaxis if axis == "x" else ax.yaxis
    formatted.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    formatted.set_minor_formatter(FuncFormatter(_two_and_five))


def _two_and_five(value: float, _: int) -> str:
    """Labels at 2 and 5 between the powers of ten."""
    leading = value / 10 ** math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:g}" if any(math.isclose(leading, labelled) for labelled in (2, 5)) else ""


def flagged() -> Line2D:
    """The legend's entry for values with a masking flag."""
    return Line2D([], [], label="flagged: see the table of signs", **FLAGGED)

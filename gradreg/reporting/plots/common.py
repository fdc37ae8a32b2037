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

from gradreg.planning.numerals import parse
from gradreg.reporting.plots import style
from gradreg.reporting.summaries import divergence, over_seeds, training_order

ERROR = "error, %"
FAR = 4  # times plain's error: from there on an axis is logarithmic
FEWEST = 3  # seeds; an interval from two is 13 times as wide as they are apart
FLAGGED: dict[str, Any] = {"ls": "", "marker": "s", "ms": 7, "mfc": "none", "mec": "#AA0000", "mew": 0.9}


def grid(
    rows: int,
    columns: int,
    *,
    width: float | None = None,
    height: float = 1.75,
    sharex: bool | Literal["row", "col"] = False,
    sharey: bool | Literal["row", "col"] = False,
) -> tuple[Figure, np.ndarray]:
    """Panels as wide as the text, or of a width each; sizes in inches."""
    size = (width * columns if width else style.TEXT_WIDTH, height * rows + 0.45)
    figure, axes = plt.subplots(rows, columns, figsize=size, sharex=sharex, sharey=sharey, squeeze=False)
    return figure, axes


def label_edges(axes: np.ndarray, titles: Sequence[str], xlabels: Sequence[str], ylabels: Sequence[str]) -> None:
    """Columns' titles on their highest panels, x labels on their lowest, rows' labels on their first ones.

    Of the panels that are visible; titles may be left out.
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


def curve(table: pd.DataFrame, by: str, fewest: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The labels of a column as numbers in order, and the mean of ``value`` over seeds at each with its half-width.

    The half-width is 0 where there are fewer than ``fewest`` seeds.
    """
    summary = over_seeds(table, [by])
    x = summary[by].map(parse).to_numpy(float)
    half = summary.half.where(summary.seeds >= fewest, 0).to_numpy()
    order = np.argsort(x)
    return x[order], summary["mean"].to_numpy()[order], half[order]


def baseline(clean: pd.DataFrame, chosen: pd.DataFrame) -> pd.Series:
    """Errors of the baseline setting that was chosen, over its selection seeds."""
    name = chosen[chosen.p == "none"].objective.iloc[0]
    return clean[(clean.p == "none") & (clean.objective == name)].value


def line(training: str) -> dict[str, Any]:
    """The look of a line in the baseline's colour."""
    return {"color": style.BASELINE["color"], **dash(training)}


def dash(training: str) -> dict[str, Any]:
    """Dashes for plain, a full line for all others."""
    return {"ls": "--" if training == "plain" else "-"}


def ring() -> Line2D:
    """The legend's entry for what was chosen."""
    return Line2D([], [], ls="", marker="o", ms=8, mfc="none", mec="#444444", label="chosen")


def trainings(parts: Sequence[tuple[str, pd.DataFrame]]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """The trainings of all parts of a figure in order, and the look of each."""
    names = training_order(pd.concat([part for _, part in parts]))
    return names, style.series(names)


def handles(
    looks: dict[str, dict[str, Any]], names: list[str], parts: Sequence[tuple[str, pd.DataFrame]]
) -> list[Line2D]:
    """A legend entry per training, which says how many of its replicas diverged, and when."""
    table = pd.concat([part for _, part in parts])
    lost = {name: divergence(table[table.training == name]) for name in names}
    labels = {name: style.p_name(name) + (f", diverged: {lost[name]}" if lost[name] else "") for name in names}
    return [Line2D([], [], label=labels[name], **looks[name]) for name in names]


def log_axis(ax: Axes) -> None:
    """A logarithmic y axis that says its numbers in full."""
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(FuncFormatter(sparse))


def sparse(value: float, _: int) -> str:
    """Ticks at 2 and 5 between the powers of ten."""
    leading = value / 10 ** math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:g}" if any(math.isclose(leading, wanted) for wanted in (2, 5)) else ""


def flagged() -> Line2D:
    """The legend's entry for values that ``signs`` has flagged."""
    return Line2D([], [], label="flagged: see the table of signs", **FLAGGED)


def sparse_log_x(ax: Axes) -> None:
    """A logarithmic x axis that says its numbers in full."""
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(FuncFormatter(sparse))

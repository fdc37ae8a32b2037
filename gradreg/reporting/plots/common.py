"""What all figures share: grids of panels, lines, legends, axes."""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from gradreg.planning import numerals
from gradreg.reporting import summaries
from gradreg.reporting.plots import style
from gradreg.reporting.plots.style import Look
from gradreg.reporting.summaries import Parts, Training

# Of a training norm: its axes, the rows of its model and objective (with plain), and those of them in that norm.
TrainingPanel = tuple[Axes, pd.DataFrame, pd.DataFrame]
ERROR = "error, %"
FAR = 4  # times plain's error: an axis that reaches further is logarithmic
LOW = 1.2  # inches of a row, below which names that stand overlap
LETTER, LINE, HANDLE = 0.06, 0.14, 0.4  # inches: a letter and a line of a legend, the mark of an entry and its margins
LEAST = 1.1  # inches of a panel; where more would not fit side by side, they go on below
ROOMY = 1.5  # inches of a panel, below which it has room for a short title only
FEW = 5  # panels that have room below each other
FEWEST = 3  # seeds; an interval from two is 13 times as wide as the distance between them
FLAGGED: Look = {"ls": "", "marker": "s", "ms": 7, "mfc": "none", "mec": "#AA0000", "mew": 0.9}
PLAIN_LINE: Look = {"color": style.BASELINE["color"], "ls": "--"}


def grid(
    rows: int,
    columns: int,
    *,
    width: float | None = None,
    height: float | Sequence[float] = 1.75,
    names: float = 0.0,
    least: float = LEAST,
    sharex: bool | Literal["col"] = False,
    sharey: bool | Literal["row"] = False,
) -> tuple[Figure, np.ndarray]:
    """Panels that fill the width of the figure, or of a given width each; in inches, like the height of each row.

    Where they would have less than ``least`` side by side, beside names that take ``names``, a row goes on below.
    """
    lines = lines_for(columns, names, least)
    side_by_side = math.ceil(columns / lines)
    heights = np.repeat([height] * rows if isinstance(height, float | int) else height, lines)
    heights = heights * min(1, (style.PAGE_HEIGHT - 0.45) / heights.sum())
    size = (min(style.width(), width * columns) if width else style.width(), heights.sum() + 0.45)
    if lines == 1:
        options: dict[str, Any] = {"gridspec_kw": {"height_ratios": heights}, "sharex": sharex, "sharey": sharey}
        return plt.subplots(rows, columns, figsize=size, squeeze=False, **options)
    figure = plt.figure(figsize=size)
    places = figure.add_gridspec(rows * lines, side_by_side, height_ratios=heights)
    axes = np.empty((rows, columns), object)
    for row, column in np.ndindex(rows, columns):
        of_x, of_y = (0, column if sharex == "col" else 0), (row if sharey == "row" else 0, 0)
        place = places[row * lines + column // side_by_side, column % side_by_side]
        panel: Axes = figure.add_subplot(
            place, sharex=axes[of_x] if sharex else None, sharey=axes[of_y] if sharey else None
        )
        panel.tick_params(labelleft=not sharey or column % side_by_side == 0)
        axes[row, column] = panel
    return figure, axes


def lines_for(columns: int, names: float = 0.0, least: float = LEAST) -> int:
    """How many lines of panels a row of so many columns takes; ``names`` and ``least`` as for ``grid``."""
    return math.ceil(columns / max(1, int((style.width() - names) / least)))


def _place(ax: Axes) -> SubplotSpec:
    """Where in a grid a panel lies."""
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError("not a panel of a grid")
    return place


def begins_a_line(ax: Axes) -> bool:
    """Whether a panel of ``grid`` is the first from the left."""
    return _place(ax).is_first_col()


def lines_of(row: Sequence[Axes]) -> list[list[Axes]]:
    """The visible panels of a row, line by line."""
    visible = [ax for ax in row if ax.get_visible()]
    return [list(line) for _, line in itertools.groupby(visible, lambda ax: _place(ax).rowspan.start)]


def rows_of(counts: Sequence[int], columns: int, each: float, more: float, **options: Any) -> tuple[Figure, np.ndarray]:
    """Panels whose rows have so many lines of text: ``each`` inches a line, and ``more`` for titles."""
    return grid(len(counts), columns, height=[each * count + more for count in counts], **options)


def pairs(parts: Parts, **options: Any) -> tuple[Figure, np.ndarray]:
    """A panel per part under its title, two side by side, or one if the figure is narrow and they are few.

    Returns the figure, and all axes; those that are not in use are hidden.
    """
    columns = min(1 if style.narrow() and len(parts) < FEW else 2, len(parts))
    figure, axes = grid(math.ceil(len(parts) / columns), columns, **options)
    for ax in axes.flat[len(parts) :]:
        ax.set_visible(False)
    for ax, (title, _) in zip(axes.flat, parts, strict=False):
        ax.set_title(", ".join(title))
    return figure, axes


def panels(
    row: Sequence[Axes], part: pd.DataFrame, column: str, values: Sequence[str]
) -> Iterator[tuple[Axes, str, pd.DataFrame]]:
    """Each panel of a row with its value of a column and the rows that have it; a panel without rows is hidden."""
    for ax, value in zip(row, values, strict=True):
        panel = part[part[column] == value]
        ax.set_visible(not panel.empty)
        if not panel.empty:
            yield ax, value, panel


def by_training(parts: Parts, xlabel: str, quantity: str, **options: Any) -> tuple[Figure, list[list[TrainingPanel]]]:
    """A panel for each norm p that a part was trained in: a row per part, a column per norm.

    Where half of these or more would be empty, or some of rows that go on below, one panel after the other.
    """
    norms = numerals.by_number({p for _, part in parts for p in part[summaries.regularised(part)].p})
    titles = [f"training with {style.training_name(Training(p))}" for p in norms]
    if style.width() / len(norms) < ROOMY:
        titles, xlabel = [style.training_name(Training(p)) for p in norms], xlabel.replace(" (logarithmic)", "")
    filled = [(names, part, p) for names, part in parts for p in norms if (part.p == p).any()]
    empty = len(parts) * len(norms) - len(filled)
    if empty >= len(filled) or (empty and lines_for(len(norms), least=options.get("least", LEAST)) > 1):
        one_model = len({names[0] for names, _ in parts}) == 1
        titled = [
            (", ".join(names[one_model:]) + "\n" + titles[norms.index(p)], part, part[part.p == p])
            for names, part, p in filled
        ]
        return _one_after_another(titled, xlabel, quantity, **options)
    figure, axes = grid(len(parts), len(norms), **options)
    rows = [
        [(ax, part, panel) for ax, _, panel in panels(row, part, "p", norms)]
        for row, (_, part) in zip(axes, parts, strict=True)
    ]
    label_edges(axes, titles, [xlabel] * len(norms), parts, quantity)
    return figure, rows


def _one_after_another(
    titled: Sequence[tuple[str, pd.DataFrame, pd.DataFrame]], xlabel: str, quantity: str, **options: Any
) -> tuple[Figure, list[list[TrainingPanel]]]:
    """Panels under titles of their own, three in a row."""
    columns = min(2 if style.narrow() else 3, len(titled))
    figure, axes = grid(math.ceil(len(titled) / columns), columns, **options)
    for ax in axes.flat[len(titled) :]:
        ax.set_visible(False)
    each = [(ax, part, panel) for ax, (_, part, panel) in zip(axes.flat, titled, strict=False)]
    for ax, (title, *_) in zip(axes.flat, titled, strict=False):
        ax.set_title(title)
    for ax in axes.flat[max(0, len(titled) - columns) :]:
        ax.set_xlabel(xlabel)
        ax.tick_params(labelbottom=True)
    for ax in axes[:, 0]:
        ax.set_ylabel(quantity)
    return figure, [each[i : i + columns] for i in range(0, len(each), columns)]


def label_edges(
    axes: np.ndarray, titles: Sequence[str], xlabels: Sequence[str], parts: Parts, quantity: str = ""
) -> None:
    """Titles above the columns, x labels below them, the title of its part and the quantity left of each row.

    Each goes to the outermost visible panel; titles may be left out. Where rows go on below, each panel has its title.
    The name of a row stands left of the first column even if its first panel is hidden, so as not to part the columns.
    Where rows are low, their names lie, without the model if there is one only, and the quantity stands once.
    """
    figure, places = axes[0, 0].figure, axes[0, 0].get_gridspec()
    goes_on, low = places.ncols < axes.shape[1], figure.get_size_inches()[1] / places.nrows < LOW
    one_model = len({title[0] for title, _ in parts}) == 1
    if low and quantity:
        figure.supylabel(quantity, fontsize=mpl.rcParams["axes.labelsize"])
    for column, xlabel in zip(axes.T, xlabels, strict=True):
        lowest = [ax for ax in column if ax.get_visible()][-1]
        lowest.set_xlabel(xlabel)
        lowest.tick_params(labelbottom=True)
    for column, title in zip(axes.T, titles, strict=False):
        visible = [ax for ax in column if ax.get_visible()]
        for ax in visible if goes_on else visible[:1]:
            ax.set_title(title)
    for row, (names, _) in zip(axes, parts, strict=True):
        for first, *_ in lines_of(row):
            named = first if goes_on or row[0].get_visible() else _blank(row[0])
            if low:
                text = ", ".join(names[1:] if one_model else names)
                named.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=mpl.rcParams["ytick.labelsize"])
            else:
                named.set_ylabel("\n".join(filter(None, [*names, quantity])))
            first.tick_params(labelleft=True)


def _blank(ax: Axes) -> Axes:
    """A hidden panel, shown without frame and ticks, so that it can bear the name of its row."""
    ax.set_visible(True)
    ax.patch.set_visible(False)
    ax.spines[:].set_visible(False)
    ax.tick_params(which="both", length=0, labelleft=False, labelbottom=False)
    return ax


def label_rows(ax: Axes, names: Sequence[str]) -> None:
    """A y axis with a name per row, the first on top."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)


def label_strengths(ax: Axes, eps: Iterable[str], places: Sequence[float] | None = None) -> None:
    """A tick for each eps, at the place of its number unless told; of joined ones, the numbers below each other."""
    ticks = numerals.by_number(eps)
    labels = ["\n".join(numerals.members(tick)) for tick in ticks]
    ax.set_xticks([numerals.parse(tick) for tick in ticks] if places is None else places, labels)


def strength(eps: str, on_a_line: int = 3) -> str:
    """An eps in mathematical notation; of joined ones, so many numbers on a line."""
    return r"$\epsilon$ = " + _lines(numerals.members(eps), on_a_line)


def _lines(names: Sequence[str], on_a_line: int = 3) -> str:
    """Names with commas, so many on a line."""
    return ",\n".join(", ".join(names[i : i + on_a_line]) for i in range(0, len(names), on_a_line))


def attack_name(p: str, eps: str) -> str:
    """A norm and an eps in it; for several joined ones, on lines of their own."""
    return style.norm_name(p) + (",\n" if numerals.is_joined(p) else ", ") + strength(eps)


def norm_names(p: str) -> str:
    """A norm, or each of several joined ones, in mathematical notation, three on a line."""
    return _lines([style.norm_name(one) for one in numerals.members(p)])


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


def dash(training: Training) -> Look:
    """A dashed line for plain, a solid line for all others."""
    return {"ls": "--" if training.plain else "-"}


def ring() -> Line2D:
    """The legend's entry for chosen settings."""
    return Line2D([], [], ls="", marker="o", ms=8, mfc="none", mec="#444444", label="chosen")


def looks_of(parts: Parts) -> dict[Training, Look]:
    """The look of each training of all parts of a figure."""
    return style.series(sorted({training for _, part in parts for training in part.training}))


def handles(looks: dict[Training, Look], parts: Parts) -> list[Line2D]:
    """A legend entry per training, with the number of its replicas that diverged, and when."""
    table = pd.concat([part for _, part in parts])
    entries = []
    for training, look in looks.items():
        lost = summaries.divergence(table[table.training == training])
        label = style.training_name(training) + (f", diverged: {lost}" if lost else "")
        entries.append(Line2D([], [], label=label, **look))
    return entries


def legend(figure: Figure, entries: Sequence[Line2D]) -> None:
    """The legend above all panels, in as few lines as the width of the figure allows, all of a length."""
    width, height = figure.get_size_inches()
    longest = max(len(re.sub(r"[$\\{}]", "", str(entry.get_label()))) for entry in entries)
    columns = max(1, min(len(entries), int(width / (LETTER * longest + HANDLE))))
    lines = math.ceil(len(entries) / columns)
    figure.set_size_inches(width, min(height + LINE * (lines - 1), style.PAGE_HEIGHT))
    figure.legend(handles=entries, loc="outside upper center", ncols=math.ceil(len(entries) / lines))


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
    return Line2D([], [], label="flagged: see the table of flags", **FLAGGED)

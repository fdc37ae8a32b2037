"""One look for all figures: their width, colour-blind safe colours, a marker and a line style per series."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.axis import Axis
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from gradreg.planning import numerals
from gradreg.reporting.summaries import ANY_NORM, Training
from gradreg.storage.files import atomic_path

Look = dict[str, Any]  # matplotlib's options for lines and marks
# Inches: of two columns, of one, and of the text of a page. Below NARROW, letters are a point smaller.
TEXT_WIDTH, COLUMN_WIDTH, NARROW, PAGE_HEIGHT = 7.0, 3.4, 5.0, 9.0
# Okabe and Ito's colours, distinct under every common form of colour blindness; grey is the baseline's.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<"]  # one more than colours, so that pairs repeat late
GREYS = ["#999999", "#000000", "#555555", "#bbbbbb", "#333333"]  # of attacks and their norms; colours are of training
APART = 2  # pixels between labels of ticks
BASELINE = {"color": "#666666", "marker": "x"}
FIRST = [Training("1"), Training("2"), Training("inf")]  # their looks are the same in all figures
SIGNED = "RdBu_r"  # diverging, centred on zero: perturbations


def use(width: float = TEXT_WIDTH) -> None:
    """Set matplotlib's defaults, without a display; width: of figures, in inches."""
    smaller = 1 if width < NARROW else 0
    mpl.use("agg")
    mpl.rcdefaults()  # whatever a matplotlibrc says
    sns.set_theme(context="paper", style="ticks", font="DejaVu Sans")
    mpl.rcParams.update(
        {
            "figure.figsize": (width, width),
            "font.size": 8 - smaller,
            "axes.titlesize": 8 - smaller,
            "axes.labelsize": 8 - smaller,
            "xtick.labelsize": 7 - smaller,
            "ytick.labelsize": 7 - smaller,
            "legend.fontsize": 7 - smaller,
            "legend.frameon": False,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.linewidth": 0.6,
            "lines.linewidth": 1.2,
            "lines.markersize": 4,
            "figure.constrained_layout.use": True,
            "savefig.dpi": 200,
            "svg.hashsalt": "gradreg",  # the same figure gives the same file
            "svg.fonttype": "path",  # the same wherever it is opened
        }
    )


def width() -> float:
    """Inches that a figure may be wide, as ``use`` was told."""
    return float(mpl.rcParams["figure.figsize"][0])


def narrow() -> bool:
    """Whether figures are for one column."""
    return width() < NARROW


def series(trainings: Sequence[Training]) -> dict[Training, Look]:
    """Colour and marker of each training; plain always has the baseline's, and p = 1, 2, inf the first three."""
    fixed = FIRST if any(training in FIRST for training in trainings) else []
    order = [*fixed, *(training for training in trainings if not training.plain and training not in fixed)]
    return {training: BASELINE if training.plain else look(order.index(training)) for training in trainings}


def look(i: int, colours: Sequence[str] = COLOURS) -> Look:
    """Colour and marker of the i-th series; colours and markers repeat after the last."""
    return {"color": colours[i % len(colours)], "marker": MARKERS[i % len(MARKERS)]}


def shade(color: str, i: int, count: int) -> str:
    """The i-th of some shades of a colour, from a light one to the colour itself."""
    share = (i + 1) / count
    red, green, blue = (1 - (1 - value) * (0.3 + 0.7 * share) for value in to_rgb(color))
    return to_hex((red, green, blue))


def norm_name(p: str) -> str:
    """A norm in mathematical notation, L with subscript p; "any norm" for several."""
    return ANY_NORM if numerals.is_joined(p) else rf"$L_{{{order(p)}}}$"


def order(p: str) -> str:
    """That of one norm, with the symbol for infinity."""
    return "∞" if p == "inf" else p


def training_name(training: Training) -> str:
    """A training's name for legends, with the symbol for infinity."""
    return training.name(infinity="∞")


def labelled(axis: Axis) -> list[float]:
    """The places within the view that a logarithmic axis has labels at."""
    low, high = sorted(axis.get_view_interval())
    ticks = [(tick, axis.get_major_formatter()) for tick in axis.get_majorticklocs()]
    ticks += [(tick, axis.get_minor_formatter()) for tick in axis.get_minorticklocs()]
    return [tick for tick, text in ticks if low <= tick <= high and text(tick)]


def shown(axis: Axis) -> list[Text]:
    """The labels that an axis has within the view, in the order of their ticks; after the figure is drawn."""
    low, high = sorted(axis.get_view_interval())
    slack = 1e-9 * (high - low)
    ticks = sorted([*axis.get_major_ticks(), *axis.get_minor_ticks()], key=lambda tick: float(tick.get_loc()))
    labels = [tick.label1 for tick in ticks if low - slack <= tick.get_loc() <= high + slack]
    return [label for label in labels if label.get_visible() and label.get_text()]


def _label(axis: Axis) -> None:
    """Two labels at least on a logarithmic axis; one that spans less than a decade has fewer."""
    if axis.get_scale() != "log" or len(labelled(axis)) >= 2:
        return
    low, high = sorted(axis.get_view_interval())
    ticks = [tick for tick in MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= tick <= high]
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _thin(axis: Axis) -> None:
    """Leave out numbers at ticks that would overprint the one before; names of rows and columns stay."""
    kept: list[Text] = []
    labels = shown(axis)
    if any(label.get_text()[0].isalpha() or label.get_rotation() for label in labels):
        return
    for label in labels:
        if not kept or not label.get_window_extent().padded(APART).overlaps(kept[-1].get_window_extent()):
            kept.append(label)
    if len(kept) < len(labels):
        at = 0 if axis is axis.axes.xaxis else 1
        axis.set_minor_locator(NullLocator())
        axis.set_ticks([label.get_position()[at] for label in kept], [label.get_text() for label in kept])


def save(figure: Figure, *paths: str | Path) -> None:
    """Write a figure to each path, by its suffix, atomically and without the date."""
    axes = [(name, getattr(ax, f"{name}axis")) for ax in figure.axes for name in ("x", "y")]
    for name, axis in axes:
        # Where all errors or gradients are zero, or none is finite, there is nothing to take a logarithm of.
        if axis.get_scale() == "log" and axis.get_view_interval()[0] <= 0 and not math.isfinite(axis.get_minpos()):
            axis.axes.set(**{f"{name}scale": "linear"})
    visible = [axis for _, axis in axes if axis.axes.get_visible()]
    for axis in visible:
        _label(axis)
    figure.draw_without_rendering()  # the layout gives axes and labels their places
    for axis in {id(axis.major): axis for axis in reversed(visible) if shown(axis)}.values():  # some share their ticks
        _thin(axis)
    for path in paths:
        suffix = Path(path).suffix.removeprefix(".")
        metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix, {})
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=suffix, metadata=metadata, bbox_inches="tight", pad_inches=0.03)

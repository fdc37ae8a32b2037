"""What tests read of figures."""

import importlib.util
import itertools

from matplotlib.text import Text
from project import ROOT

from gradreg.planning.report import MANY_NORMS
from gradreg.reporting.plots import style


def every_figure(tables, folder):
    """Each figure of the workflow's script that these tables serve, by name, after it was saved."""
    location = ROOT / "workflow/scripts/plot_figures.py"
    script = importlib.util.module_from_spec(importlib.util.spec_from_file_location("plot_figures", location))
    script.__spec__.loader.exec_module(script)
    for name, (function, needed) in script.FIGURES.items():
        if name == "training_norm" and len({p for p in tables["test"].p if "+" not in p}) <= MANY_NORMS:
            continue
        if set(needed) <= set(tables):
            figure = function(*(tables[table] for table in needed))
            style.save(figure, folder / f"{name}.png")
            yield name, figure


def panels(figure):
    return [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]


def legend(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def y_names(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def drawn(figure):
    """The lines of all panels that are not empty."""
    return [line for ax in panels(figure) for line in ax.lines if len(line.get_xdata())]


def overprinting(figure):
    """Pairs of texts that lie on each other: titles, names of axes, labels of ticks, notes, legends."""
    figure.draw_without_rendering()
    texts = set(figure.findobj(Text))
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):  # ticks outside the view have labels too
            texts -= set(axis.get_ticklabels(which="both")) - set(style.shown(axis))
        texts -= set() if ax.get_visible() else set(ax.findobj(Text))
    level = [text for text in texts if text.get_visible() and text.get_text() and text.get_rotation() % 90 == 0]
    boxes = [(text.get_text(), text.get_window_extent().padded(-0.5)) for text in level]
    return [(a, b) for (a, box), (b, other) in itertools.combinations(boxes, 2) if box.overlaps(other)]

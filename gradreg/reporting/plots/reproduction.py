"""Errors in the literature beside ours."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradreg.planning import numerals
from gradreg.reporting import summaries
from gradreg.reporting.plots import common, style
from gradreg.reporting.plots.common import ERROR
from gradreg.reporting.plots.errors import STAR


def reproduction(compared: pd.DataFrame) -> Figure:
    """A row per network, a panel per level of noise: the error in the literature, and ours with two intervals.

    compared: of ``reporting.reproduction.table``. The thick line is the 95 % interval of our mean, the thin one that of
    a further network of ours; from three seeds on, and if no training failed. Hollow marks: noisy images that were not
    clipped.
    """
    networks = list(dict.fromkeys(zip(compared.model, compared.training, strict=True)))
    looks = style.series(sorted({training for _, training in networks}))
    levels = sorted(set(compared.noise), key=lambda level: numerals.parse(level) if level else 0)
    figure, axes = common.grid(
        1, len(levels), height=0.32 * len(networks) + 0.55, width=2.6 if len(levels) < 2 else None
    )
    failed = False
    for column, (ax, size) in enumerate(zip(axes[0], levels, strict=True)):
        panel = compared[compared.noise == size]
        for place, network in enumerate(networks):
            rows = panel[(panel.model == network[0]) & (panel.training == network[1])]
            ax.plot(rows.literature.unique(), [place] * rows.literature.nunique(), zorder=4, **STAR)
            rows = rows.drop_duplicates("images")  # the same of ours beside two errors in the literature
            offsets = np.linspace(-0.17, 0.17, len(rows)) if len(rows) > 1 else np.zeros(len(rows))
            for offset, row in zip(offsets, rows.itertuples(), strict=True):
                _network(ax, place + offset, row, looks[row.training])
                failed = failed or row.failed > 0
        if panel["mean"].max() > common.FAR * panel["mean"].min():
            common.log_axis(ax, "x")
        ax.set_title(f"Gaussian noise {size}" if size else "test images")
        ax.set_xlabel(ERROR)
        ax.grid(axis="y", lw=0.3, color="#dddddd")
        common.label_rows(ax, _names(networks) if column == 0 else [""] * len(networks))
    handles = [Line2D([], [], label="literature", **STAR), Line2D([], [], label="ours", color="#444444", marker="o")]
    if (compared.images == "not clipped").any():
        handles.append(Line2D([], [], label="ours, not clipped", color="#444444", marker="o", mfc="white"))
    handles += [common.flagged()] if failed else []
    common.legend(figure, handles)
    return figure


def _network(ax: Axes, y: float, row: Any, look: style.Look) -> None:
    """Our mean, the interval of the mean, and that of a further network."""
    color = look["color"]
    least = row.least / 3  # the axis may be logarithmic
    if row.seeds >= common.FEWEST and not row.failed:
        ax.plot([max(row.single_low, least), row.single_high], [y, y], color=color, lw=0.8)
        ends = [max(row.mean - row.half, least), row.mean + row.half]
        ax.plot(ends, [y, y], color=color, lw=2.6, solid_capstyle="butt")
    ax.plot(
        row.mean, y, ls="", zorder=3, color=color, marker="o", mfc="white" if row.images == "not clipped" else color
    )
    if row.failed:
        ax.plot(row.mean, y, **common.FLAGGED)


def _names(networks: Sequence[tuple[str, summaries.Training]]) -> list[str]:
    one = len({model for model, _ in networks}) == 1
    names = [style.training_name(training) for _, training in networks]
    return names if one else [f"{model}, {name}" for (model, _), name in zip(networks, names, strict=True)]

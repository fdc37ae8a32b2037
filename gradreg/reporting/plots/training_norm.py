"""One objective over its norms: what each p withstands, and how many inputs its gradient is spread over."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gradreg.planning import numerals
from gradreg.planning.report import MANY_NORMS
from gradreg.reporting import summaries
from gradreg.reporting.plots import common, style
from gradreg.reporting.plots.common import ERROR
from gradreg.reporting.plots.style import Look
from gradreg.reporting.summaries import NETWORK

CLEAN = "not attacked"


def training_norm(history: pd.DataFrame, test: pd.DataFrame) -> Figure:
    """Errors against the training norm, and the participation ratio while training: a row per model and objective.

    Rows are those of objectives with MANY_NORMS norms or more. Errors are those without attack and under the multi-step
    attack at the middle eps of each norm's grid, with intervals over seeds; flagged ones are framed. history: of the
    selection runs; test: measurements of the final runs, which say whose histories are drawn.
    """
    final = test.drop_duplicates(NETWORK)[NETWORK]
    histories = {tuple(names): part for names, part in summaries.by_objective(history.merge(final, on=NETWORK))}
    parts = [(names, part) for names, part in summaries.by_objective(test) if len(_norms(part)) >= MANY_NORMS]
    attacks = _attacks(test)
    norms = numerals.by_number({p for _, part in parts for p in _norms(part)})
    shades = mpl.colormaps["viridis_r"](np.linspace(0.05, 1, len(norms)))
    looks: dict[str, Look] = {p: {"color": shade} for p, shade in zip(norms, shades, strict=True)}
    figure, axes = common.grid(len(parts), 2, height=2.0, least=2.0)
    framed = False
    for (errors, ratios), (names, part) in zip(axes, parts, strict=True):
        framed |= _errors(errors, part, attacks)
        _ratios(ratios, histories[tuple(names)], looks)
    common.label_edges(axes, ["", ""], ["training norm p", "epoch"], parts, ERROR)
    for _, ratios in axes:
        ratios.set_ylabel("participation ratio")
    handles = [Line2D([], [], label=label, **look) for label, _, look in attacks]
    common.legend(figure, handles + ([common.flagged()] if framed else []))
    lines = [Line2D([], [], label="plain", **common.PLAIN_LINE)]
    lines += [Line2D([], [], label=f"p = {style.order(p)}", **look) for p, look in looks.items()]
    figure.legend(handles=lines, loc="outside right lower")
    return figure


def _norms(part: pd.DataFrame) -> list[str]:
    """The single norms in which a part was trained."""
    norms = set(part[summaries.regularised(part)].p)
    return numerals.by_number(p for p in norms if not numerals.is_joined(p))


def _attacks(test: pd.DataFrame) -> list[tuple[str, tuple[str, str, str], Look]]:
    """(name, attack with its p and eps, look) of the errors that are shown."""
    attacked = test[(test.attack == "multi_step") & (test.metric == "error")]
    chosen = [(CLEAN, ("none", "", ""))]
    for p in numerals.by_number(attacked.attack_p):
        eps = numerals.middle(attacked[attacked.attack_p == p].attack_eps)
        chosen.append((common.attack_name(p, eps).replace("\n", " "), ("multi_step", p, eps)))
    return [(name, attack, style.look(i)) for i, (name, attack) in enumerate(chosen)]


def _errors(ax: Axes, part: pd.DataFrame, attacks: list[tuple[str, tuple[str, str, str], Look]]) -> bool:
    """Plain training first, then a place for each norm; whether an error is framed."""
    places = ["none", *_norms(part)]
    table, framed = part[part.metric == "error"], False
    for _, (attack, p, eps), look in attacks:
        rows = table[(table.attack == attack) & (table.attack_p == p) & (table.attack_eps == eps)]
        rows = rows[rows.p.isin(places)].assign(value=100 * rows.value)
        summary = summaries.over_seeds(rows, ["p"]).set_index("p").reindex(places)
        half = summary.half.where(summary.seeds >= common.FEWEST, 0).fillna(0).to_numpy()
        mean = summary["mean"].to_numpy()
        bars = np.array([np.minimum(half, mean), np.minimum(half, 100 - mean)])
        for span, line in ((slice(0, 1), ""), (slice(1, None), "-")):  # plain is no point of the line
            ax.errorbar(np.arange(len(places))[span], mean[span], bars[:, span], ls=line, capsize=2, **look)
        flagged = [i for i, place in enumerate(places) if summaries.suspect(rows[rows.p == place]).any()]
        if flagged:
            ax.plot(flagged, mean[flagged], **common.FLAGGED)
            framed = True
    ax.set_xticks(range(len(places)), ["plain", *(style.order(p) for p in places[1:])], rotation=90)
    ax.set_ylim(0, 102)
    return framed


def _ratios(ax: Axes, histories: pd.DataFrame, looks: dict[str, Look]) -> None:
    """A line for each norm, and a dashed one for plain, over the epochs."""
    if "participation_ratio" not in histories:  # of runs before it was recorded
        ax.set_visible(False)
        return
    for p in ("none", *looks):
        line = histories[histories.p == p].assign(value=histories.participation_ratio)
        summary = summaries.over_seeds(line, ["epoch"])
        ax.plot(summary.epoch, summary["mean"], **(common.PLAIN_LINE if p == "none" else looks[p]))
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))

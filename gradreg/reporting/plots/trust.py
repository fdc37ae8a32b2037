"""Trust: do stronger attacks find more, did training collapse, and how good are the estimates of the error?"""

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gradreg.planning import numerals
from gradreg.reporting import summaries
from gradreg.reporting.plots import common, style
from gradreg.reporting.plots.common import ERROR
from gradreg.reporting.plots.style import Look
from gradreg.reporting.summaries import NETWORK, Training

GAP = 0.16  # between the marks of one row
HOLLOW: Look = {"mfc": "none", "ms": 5}
SHARES = {
    "multi_step": ("-", "multi-step attack"),
    "gradient_estimate": ("--", "estimate, gradient"),
    "curvature_estimate": (":", "estimate, gradient and curvature"),
}


def attack_strength(test: pd.DataFrame) -> Figure:
    """Error under every attack at one eps per norm: a row per model, a column per norm, marks per training.

    The eps is the one of the attacks that were run at one eps only, or else the middle one of the grid; an attack that
    was not run at it is not shown. Intervals are over the seeds that were attacked. A hollow mark beside a strong
    attack is the multi-step attack on the same images and seeds. Flagged values are framed.
    """
    test = summaries.with_training(test)
    table = test[(test.metric == "error") & (test.attack_p != "")]
    multi_step = test[test.metric == "error_of_multi_step"]
    attacks = ["one_step", *summaries.attacks(table)]
    looks = {attack: style.look(i, style.GREYS) for i, attack in enumerate(attacks)}
    parts, norms = list(table.groupby("model", sort=False)), numerals.by_number(table.attack_p)
    trainings = {model: sorted(set(part.training)) for model, part in parts}
    longest = max(len(style.training_name(training)) for of_model in trainings.values() for training in of_model)
    figure, axes = common.rows_of(
        [len(of_model) for of_model in trainings.values()],
        len(norms),
        0.22,
        0.6,
        sharex=True,
        names=common.LETTER * longest,
    )
    framed = False
    for row, (model, part) in zip(axes, parts, strict=True):
        for ax, p, panel in common.panels(row, part, "attack_p", norms):
            eps = _shown_eps(panel)
            same = multi_step[(multi_step.model == model) & (multi_step.attack_p == p) & (multi_step.attack_eps == eps)]
            framed |= _strengths(ax, panel[panel.attack_eps == eps], same, trainings[model], looks)
            ax.set_title(common.attack_name(p, eps))
            ax.grid(axis="y", lw=0.3, color="#dddddd")
        for ax in row:
            common.label_rows(ax, [style.training_name(training) for training in trainings[model]])
            ax.tick_params(labelleft=common.begins_a_line(ax))
        if len(parts) > 1:
            first = next(ax for ax in row if ax.get_visible())
            first.set_title(f"{model}\n{first.get_title()}")
    for ax in axes[-1]:
        ax.set_xlabel(ERROR)
    handles = [Line2D([], [], ls="", label=attack.replace("_", "-"), **looks[attack]) for attack in attacks]
    if len(multi_step):
        hollow = looks["multi_step"] | HOLLOW | {"color": "#000000"}
        handles.append(Line2D([], [], ls="", label="multi-step, on the images of the strong attack", **hollow))
    handles += [common.flagged()] if framed else []
    common.legend(figure, handles)
    return figure


def _shown_eps(panel: pd.DataFrame) -> str:
    """The eps of the strong attacks that were run at one only, or else the middle one of all attacks."""
    strong = panel[~panel.attack.isin(["one_step", "multi_step"])]
    single = strong.groupby("attack").attack_eps.transform("nunique") == 1
    return str(numerals.middle(strong[single].attack_eps if single.any() else panel.attack_eps))


def _strengths(
    ax: Axes, panel: pd.DataFrame, same_images: pd.DataFrame, trainings: Sequence[Training], looks: dict[str, Look]
) -> bool:
    """The marks of one panel of ``attack_strength``; whether one of them is framed.

    same_images: errors of the multi-step attack on the images of the other attacks.
    """
    framed = False
    hollow = HOLLOW | {"marker": looks["multi_step"]["marker"]}
    for (i, attack), (j, training) in itertools.product(enumerate(looks), enumerate(trainings)):
        rows, multi_step = (
            errors[(errors.attack == attack) & (errors.training == training)] for errors in (panel, same_images)
        )
        values = (100 * rows.value).dropna().tolist()
        if not values:
            continue
        half, y = summaries.half_width(values), j + GAP * (i - (len(looks) - 1) / 2)
        mean = float(np.mean(values))
        bar = 0 if np.isnan(half) else half
        ax.errorbar(mean, y, xerr=bar, ls="", capsize=1.5, elinewidth=0.7, **looks[attack])
        if len(multi_step):
            ax.plot(100 * multi_step.value.mean(), y, ls="", **looks[attack] | hollow)
        if summaries.suspect(rows).any():
            ax.plot(mean, y, **common.FLAGGED)
            framed = True
    return framed


def probe(history: pd.DataFrame, chosen: pd.DataFrame) -> Figure:
    """The error of the collapse probe by epoch, under one and five steps: a panel per p, all eps of the sweep.

    history: of the selection runs; chosen: measurements of the final runs, whose eps have thick lines. Where every
    panel has one eps, it stands in the title.
    """
    probed = set(history.dropna(subset=["probe_error_5"]).objective)
    table = history[history.objective.isin(probed) & summaries.regularised(history)]
    if table.empty:  # all diverged at once, or are of norms in which there is no probe
        figure, axes = common.grid(1, 1)
        axes[0, 0].set_title("no network was probed")
        return figure
    parts = summaries.by_objective(table)
    looks = style.series([Training(p) for p in numerals.by_number(table.p)])
    least = 1.6 if style.narrow() else common.LEAST  # for the legends
    figure, rows = common.by_training(parts, "epoch", f"probe {ERROR}", sharex=True, sharey=True, least=least)
    final = set(chosen[NETWORK].itertuples(index=False, name=None))
    single = all(panel.eps.nunique() == 1 for row in rows for *_, panel in row)  # a legend would lie on low lines
    for row in rows:
        for ax, _, panel in row:
            p, strengths = panel.p.iloc[0], numerals.by_number(panel.eps)
            if single:
                ax.set_title(", ".join(filter(None, [ax.get_title(), common.strength(strengths[0])])))
            for i, eps in enumerate(strengths):
                line = panel[panel.eps == eps]
                is_final = tuple(line[NETWORK].iloc[0]) in final
                look: Look = {
                    "color": style.shade(looks[Training(p)]["color"], i, len(strengths)),
                    "lw": 1.6 if is_final else 0.9,
                }
                for metric, dash in (("probe_error_5", "-"), ("probe_error_1", ":")):
                    summary = summaries.over_seeds(line.assign(value=100 * line[metric]), ["epoch"])
                    label = common.strength(eps) + (" (chosen)" if is_final else "") if dash == "-" else None
                    ax.plot(summary.epoch, summary["mean"], ls=dash, label=label, **look)
                    half = summary.half.where(summary.seeds >= common.FEWEST, 0)
                    low, high = summary["mean"] - half, summary["mean"] + half
                    ax.fill_between(summary.epoch, low, high, color=look["color"], alpha=0.15, lw=0)
            ax.set_yticks(range(0, 101, 20))
            room = 18 * len(strengths) if style.narrow() and not single else 0  # the legend lies above the curves
            ax.set_ylim(0, 102 + room)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            if not single:
                ax.legend(fontsize=6, loc="upper right", frameon=True, framealpha=0.85, edgecolor="none")
    dashes = (("five steps", "-"), ("one step", ":"))
    handles = [Line2D([], [], color="k", ls=dash, label=label) for label, dash in dashes]
    common.legend(figure, handles)
    return figure


def estimates(test: pd.DataFrame) -> Figure:
    """Share of images with an adversarial example within eps, by attack and by estimate.

    A row per smooth model and objective, a column per norm.
    """
    models = set(test[test.metric == "estimated_error"].model)
    table = test[test.model.isin(models) & (test.attack_p != "") & test.metric.isin(["error", "estimated_error"])]
    table = table[table.attack.isin(SHARES) & ~table.attack_p.map(numerals.is_joined)]
    parts, norms = summaries.by_objective(table.assign(value=100 * table.value)), numerals.by_number(table.attack_p)
    looks = common.looks_of(parts)
    figure, axes = common.grid(len(parts), len(norms), sharex="col", sharey=True)
    for row, (_, part) in enumerate(parts):
        for ax, p in zip(axes[row], norms, strict=True):
            for training in sorted(set(part.training)):
                for attack, (dash, _) in SHARES.items():
                    line = part[(part.attack_p == p) & (part.training == training) & (part.attack == attack)]
                    x, mean, _ = common.curve(line, "attack_eps")
                    ax.plot(x, mean, ls=dash, **looks[training] | ({} if dash == "-" else {"marker": ""}))
            ax.set_ylim(0, 102)
            ax.set_xlim(left=0)
    common.label_edges(
        axes,
        [f"in {style.norm_name(p)}" for p in norms],
        [rf"$\epsilon$ in {style.norm_name(p)}" for p in norms],
        parts,
        "images within $\\epsilon$, %",
    )
    handles = common.handles(looks, parts)
    handles += [Line2D([], [], color="k", ls=dash, label=label) for dash, label in SHARES.values()]
    common.legend(figure, handles)
    return figure

"""Trust: do stronger attacks find more, did training collapse, and what do gradient and curvature estimate?"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gradreg.planning.numerals import by_number, middle
from gradreg.reporting.plots import common, style
from gradreg.reporting.plots.common import ERROR
from gradreg.reporting.summaries import (
    attacks,
    by_objective,
    half_width,
    over_seeds,
    suspect,
    training_order,
    with_training,
)

GAP = 0.16  # between the marks of one row


def attack_strength(test: pd.DataFrame) -> Figure:
    """Error under every attack at one eps per norm: a row per model, a column per norm, a line per training.

    The eps is that of the attacks that were run at one only, or the middle one of the grid; an attack that was not run
    there is not shown. Intervals are over the seeds that an attack was run on. Beside each strong attack stands a
    hollow mark: the multi-step attack on its images and seeds. Flagged values are framed.
    """
    table = with_training(test[(test.metric == "error") & (test.attack_p != "")])
    kinds = ["one_step", *attacks(table)]
    models, norms, names = list(dict.fromkeys(table.model)), by_number(table.attack_p), training_order(table)
    strong = table[~table.attack.isin(["one_step", "multi_step"])]
    looks = {kind: style.look(i) for i, kind in enumerate(kinds)}
    usual = with_training(test[test.metric == "error_of_multi_step"])
    looks_of_usual = {"marker": looks["multi_step"]["marker"], "ms": 5}
    figure, axes = common.grid(len(models), len(norms), sharex=True, sharey=True, height=0.22 * len(names) + 0.5)
    framed = False
    for row, model in enumerate(models):
        for column, p in enumerate(norms):
            ax, own = axes[row, column], table[(table.model == model) & (table.attack_p == p)]
            if own.empty:
                ax.set_visible(False)
                continue
            wanted = strong[(strong.model == model) & (strong.attack_p == p)]
            single = wanted.groupby("attack").attack_eps.transform("nunique") == 1
            eps = middle(wanted[single].attack_eps if single.any() else own.attack_eps)
            own = own[own.attack_eps == eps]
            for i, kind in enumerate(kinds):
                for j, training in enumerate(names):
                    line = own[(own.attack == kind) & (own.training == training)]
                    values = (100 * line.value).dropna().tolist()
                    if not values:
                        continue
                    half, y = half_width(values), j + GAP * (i - (len(kinds) - 1) / 2)
                    mean = float(np.mean(values))
                    ax.errorbar(
                        mean, y, xerr=0 if np.isnan(half) else half, ls="", capsize=1.5, elinewidth=0.7, **looks[kind]
                    )
                    same = usual[(usual.model == model) & (usual.attack == kind) & (usual.attack_p == p)]
                    same = same[(same.training == training) & (same.attack_eps == eps)].value
                    if len(same):
                        ax.plot(100 * same.mean(), y, ls="", **{**looks[kind], "mfc": "none", **looks_of_usual})
                    if suspect(line).any():
                        ax.plot(mean, y, **common.FLAGGED)
                        framed = True
            ax.set_title(
                f"{model}, {style.norm_name(p)}, $\\epsilon$ = {eps}"
                if len(models) > 1
                else f"{style.norm_name(p)}, $\\epsilon$ = {eps}"
            )
            ax.grid(axis="y", lw=0.3, color="#dddddd")
            if row == len(models) - 1:
                ax.set_xlabel(ERROR)
        axes[row, 0].set_yticks(range(len(names)), [style.p_name(name) for name in names])
        axes[row, 0].set_ylim(len(names) - 0.5, -0.5)
    handles: list[Line2D] = [Line2D([], [], ls="", label=kind.replace("_", "-"), **looks[kind]) for kind in kinds]
    if len(usual):
        hollow: dict[str, Any] = {**looks["multi_step"], "color": "#000000", "mfc": "none", "ms": 5}
        handles.append(Line2D([], [], ls="", label="multi-step, on the images of the strong attack", **hollow))
    handles += [common.flagged()] if framed else []
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 6))
    return figure


def probe(history: pd.DataFrame, chosen: pd.DataFrame) -> Figure:
    """The error of the collapse probe by epoch, under one and five steps: a column per p, all eps of the sweep.

    history: of the selection runs; chosen: measurements of the final runs, whose eps are drawn in full colour.
    """
    moved = set(history.dropna(subset=["probe_error_5"]).objective)
    table = history[history.objective.isin(moved) & (history.p != "none")]
    if table.empty:  # all diverged at once
        figure, axes = common.grid(1, 1)
        axes[0, 0].set_title("no network reached the end of an epoch")
        return figure
    parts, norms = by_objective(table), by_number(table.p)
    figure, axes = common.grid(len(parts), len(norms), sharex=True, sharey=True)
    final = set(chosen[["model", "objective", "p", "eps"]].itertuples(index=False, name=None))
    for row, (_, part) in enumerate(parts):
        for column, p in enumerate(norms):
            ax, own = axes[row, column], part[part.p == p]
            if own.empty:
                ax.set_visible(False)
                continue
            for i, eps in enumerate(by_number(own.eps)):
                line = own[own.eps == eps]
                is_final = (line.model.iloc[0], line.objective.iloc[0], p, eps) in final
                colour = style.COLOURS[i % len(style.COLOURS)]
                for metric, dash in (("probe_error_5", "-"), ("probe_error_1", ":")):
                    summary = over_seeds(line.assign(value=100 * line[metric]), ["epoch"])
                    label = f"$\\epsilon$ = {eps}" + (" (chosen)" if is_final else "") if dash == "-" else None
                    ax.plot(
                        summary.epoch, summary["mean"], ls=dash, color=colour, lw=1.6 if is_final else 0.9, label=label
                    )
            ax.set_ylim(0, 102)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            ax.legend(fontsize=6, loc="upper right", frameon=True, framealpha=0.85, edgecolor="none")
    titles = [f"training with {style.p_name(f'p = {p}')}" for p in norms]
    common.label_edges(axes, titles, ["epoch"] * len(norms), [f"{name}\nprobe {ERROR}" for name, _ in parts])
    dashes = (("five steps", "-"), ("one step", ":"))
    handles = [Line2D([], [], color="k", ls=dash, label=label) for label, dash in dashes]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


def estimates(test: pd.DataFrame) -> Figure:
    """Share of images within reach, by estimate and by attack, against eps: a row per smooth model and objective."""
    models = set(test[test.metric == "estimated_error"].model)
    table = test[test.model.isin(models) & (test.attack_p != "") & test.metric.isin(["error", "estimated_error"])]
    table = table[table.attack.isin(["multi_step", "gradient_estimate", "curvature_estimate"])]
    parts, norms = by_objective(table.assign(value=100 * table.value)), by_number(table.attack_p)
    names, looks = common.trainings(parts)
    dashes: dict[str, Any] = {"multi_step": "-", "gradient_estimate": "--", "curvature_estimate": ":"}
    figure, axes = common.grid(len(parts), len(norms), sharex="col", sharey=True)
    for row, (_, part) in enumerate(parts):
        for column, p in enumerate(norms):
            ax = axes[row, column]
            for training in training_order(part):
                for attack, dash in dashes.items():
                    line = part[(part.attack_p == p) & (part.training == training) & (part.attack == attack)]
                    x, mean, _ = common.curve(line, "attack_eps")
                    ax.plot(x, mean, ls=dash, **looks[training] | ({} if dash == "-" else {"marker": ""}))
            ax.set_ylim(0, 102)
            ax.set_xlim(left=0)
    common.label_edges(
        axes,
        [f"in {style.norm_name(p)}" for p in norms],
        [rf"$\epsilon$ in {style.norm_name(p)}" for p in norms],
        [f"{name}\nimages within $\\epsilon$, %" for name, _ in parts],
    )
    labels = {
        "multi_step": "multi-step attack",
        "gradient_estimate": "estimate, gradient",
        "curvature_estimate": "estimate, gradient and curvature",
    }
    handles = common.handles(looks, names, parts)
    handles += [Line2D([], [], color="k", ls=dashes[attack], label=label) for attack, label in labels.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    return figure

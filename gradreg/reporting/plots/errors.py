"""Errors: by training strength, under attack, by objective, by number of training images."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from gradreg.planning.numerals import by_number, middle, parse
from gradreg.reporting.literature import anchors
from gradreg.reporting.plots import common, style
from gradreg.reporting.plots.common import ERROR, FAR, FEWEST
from gradreg.reporting.summaries import (
    attacks,
    by_objective,
    diverged,
    divergence,
    half_width,
    over_seeds,
    suspect,
    training_order,
    with_training,
)

STAR: dict[str, Any] = {"ls": "", "marker": "*", "ms": 7, "color": "#000000"}  # published
DIVERGED: dict[str, Any] = {"ls": "", "marker": "x", "ms": 5, "mew": 1.2}  # at the foot of a panel, in the epoch
# Of attacks beside the family's.
OTHER_DASHES = ("--", "-.", (0, (1, 3)), (0, (5, 5)))
OTHER_MARKS = ("_", "|", "1", "2")


def validation_error(validation: pd.DataFrame, chosen: pd.DataFrame) -> Figure:
    """Validation error against training eps: a row per model and objective, a column per norm, plain as a line across.

    validation: measurements of the selection runs; chosen: those of the final runs, whose settings are ringed.
    Intervals are drawn from three seeds on.
    """
    clean = validation[(validation.attack == "none") & (validation.metric == "error")]
    parts = by_objective(clean.assign(value=100 * clean.value))
    norms = by_number(clean[clean.p != "none"].p)
    figure, axes = common.grid(len(parts), len(norms), sharey="row")
    for row, (_, part) in enumerate(parts):
        final = chosen[chosen.model == part.model.iloc[0]]
        base = common.baseline(part, final)
        looks = style.series([f"p = {p}" for p in norms])
        for column, p in enumerate(norms):
            ax, own = axes[row, column], part[part.p == p]
            if own.empty:
                ax.set_visible(False)
                continue
            ax.axhline(base.mean(), **common.line("plain"), label="plain (its best setting)")
            width = half_width(base.tolist())
            if len(base) >= FEWEST:
                ax.axhspan(base.mean() - width, base.mean() + width, color=style.BASELINE["color"], alpha=0.15, lw=0)
            _strengths(ax, own, final[final.objective == own.objective.iloc[0]], looks[f"p = {p}"])
        shown = [ax for ax in axes[row] if ax.get_visible()]
        first = shown[0]
        low, high = first.get_ylim()  # of all columns
        if high > FAR * base.mean():
            for ax in shown:
                common.log_axis(ax)
        else:
            first.set_ylim(max(0, low), high)
    common.label_edges(
        axes,
        [f"training with {style.p_name(f'p = {p}')}" for p in norms],
        [r"training $\epsilon$ (logarithmic)"] * len(norms),
        [f"{name}\nvalidation {ERROR}" for name, _ in parts],
    )
    handles = [Line2D([], [], **common.line("plain"), label="plain"), common.ring()]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


def _strengths(ax: Axes, own: pd.DataFrame, final: pd.DataFrame, look: dict[str, Any]) -> None:
    """Error of one objective at one p against its eps, what diverged, and a ring about what was chosen."""
    x, mean, half = common.curve(own, "eps", FEWEST)
    ax.errorbar(x, mean, half, capsize=2, elinewidth=0.7, **look)
    ax.plot(own.eps.map(parse), own.value, ".", ms=2.5, color=look["color"], alpha=0.5)
    at = dict(zip(x, mean, strict=True))
    for eps, part in own.groupby(own.eps.map(parse)):
        if diverged(part).any():
            text = f"diverged:\n{divergence(part)}"
            ax.annotate(text, (eps, at[eps]), (0, 6), textcoords="offset points", ha="center", fontsize=6)
    for eps in at.keys() & set(final[final.p == own.p.iloc[0]].eps.map(parse)):
        ax.plot(eps, at[eps], "o", ms=9, mfc="none", mec=look["color"], mew=0.8)
    ax.set_xscale("log")
    ticks = by_number(own.eps)
    ax.set_xticks([parse(t) for t in ticks], ticks)
    ax.xaxis.set_minor_locator(NullLocator())


def robust_error(test: pd.DataFrame) -> Figure:
    """Error under attack against attack eps: a row per model and objective, a column per attack norm, a line per p.

    Attacks of one strength only are marks. Flagged values are framed; stars are published errors under one step.
    """
    table = test[(test.metric == "error") & (test.attack_p != "")]
    table = table.assign(value=100 * table.value)
    parts, norms = by_objective(table), by_number(table.attack_p)
    published = [anchor for anchor in anchors(str(test.dataset.iloc[0])) if anchor.p in norms]
    names, looks = common.trainings(parts)
    ways = _ways(table)
    figure, axes = common.grid(len(parts), len(norms), sharex="col", sharey=True)
    marked = False
    for row, (_, part) in enumerate(parts):
        for column, p in enumerate(norms):
            ax = axes[row, column]
            own = part[part.attack_p == p]
            for training in training_order(part):
                for attack, way in ways.items():
                    line = own[(own.training == training) & (own.attack == attack)]
                    x, mean, half = common.curve(line, "attack_eps")
                    look = looks[training] | way
                    if len(x) == 1 and not look["marker"]:
                        look |= {"marker": "."}  # a line of one point would not be seen
                    ax.plot(x, mean, **look)
                    flagged = np.isin(x, line[suspect(line)].attack_eps.map(parse).to_numpy(float))
                    if flagged.any():
                        ax.plot(x[flagged], mean[flagged], **common.FLAGGED)
                        marked = True
                    if attack == "multi_step":
                        ax.fill_between(x, mean - half, mean + half, color=look["color"], alpha=0.15, lw=0)
            for anchor in published:
                if anchor.p == p:
                    ax.plot(parse(anchor.eps), anchor.error, **STAR)
            ax.set_ylim(0, 102)
            ax.set_xlim(left=0)
    common.label_edges(
        axes,
        [f"attack in {style.norm_name(p)}" for p in norms],
        [rf"attack $\epsilon$ in {style.norm_name(p)}" for p in norms],
        [f"{label}\n{ERROR}" for label, _ in parts],
    )
    handles = common.handles(looks, names, parts)
    for attack, way in ways.items():
        handles.append(Line2D([], [], color="k", label=attack.replace("_", "-"), **{"marker": "", **way}))
    handles += [common.flagged()] if marked else []
    handles += [Line2D([], [], label="published, one step", **STAR)] if published else []
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 6))
    return figure


def _ways(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """How each attack is drawn: a line over a grid of strengths, a mark where there is one strength only."""
    ways: dict[str, dict[str, Any]] = {"multi_step": {"ls": "-"}, "one_step": {"ls": ":", "marker": ""}}
    for i, name in enumerate(attacks(table)[1:]):
        strengths = table[table.attack == name].groupby("attack_p").attack_eps.nunique()
        line = {"ls": OTHER_DASHES[i % len(OTHER_DASHES)], "marker": ""}
        mark = {"ls": "", "marker": OTHER_MARKS[i % len(OTHER_MARKS)], "ms": 8, "mew": 1.4}
        ways[name] = line if strengths.max() > 1 else mark
    return ways


def noise(test: pd.DataFrame) -> Figure:
    """Error under noise against its size: a row per model and objective, a column per kind of noise, a line per p."""
    table = test[(test.metric == "error") & test.attack.isin(["gaussian", "uniform", "none"])]
    table = table.assign(value=100 * table.value, attack_eps=table.attack_eps.replace("", "0"))
    parts = by_objective(table)
    kinds = [kind for kind in ("gaussian", "uniform") if kind in set(table.attack)]
    sizes = {"gaussian": "standard deviation", "uniform": "largest change of a pixel"}
    names, looks = common.trainings(parts)
    figure, axes = common.grid(len(parts), len(kinds), sharex="col", sharey="row", width=3.4)
    for row, (_, part) in enumerate(parts):
        for column, kind in enumerate(kinds):
            ax, own = axes[row, column], part[part.attack.isin([kind, "none"])]
            for training in training_order(part):
                x, mean, half = common.curve(own[own.training == training], "attack_eps")
                ax.plot(x, mean, **common.dash(training), **looks[training])
                low = np.maximum(mean - half, mean / 3)  # the axis is logarithmic
                ax.fill_between(x, low, mean + half, color=looks[training]["color"], alpha=0.15, lw=0)
            common.log_axis(ax)
    titles = [f"{kind.replace('gaussian', 'Gaussian')} noise" for kind in kinds]
    common.label_edges(axes, titles, [sizes[kind] for kind in kinds], [f"{label}\n{ERROR}" for label, _ in parts])
    figure.legend(handles=common.handles(looks, names, parts), loc="outside upper center", ncols=len(names))
    return figure


def norm_matrix(test: pd.DataFrame) -> Figure:
    """Error under the multi-step attack: training norm by attack norm, at the middle eps of each attack grid."""
    table = with_training(test[(test.attack == "multi_step") & (test.metric == "error")])
    names, norms = training_order(table), by_number(table.attack_p)
    models = list(dict.fromkeys(table.model))
    figure, axes = common.grid(1, len(models), width=3.4, height=0.55 + 0.33 * len(names))
    strength = {p: middle(table[table.attack_p == p].attack_eps) for p in norms}
    for ax, model in zip(axes[0], models, strict=True):
        own = table[table.model == model]
        values = np.full((len(names), len(norms)), np.nan)
        for i, training in enumerate(names):
            for j, p in enumerate(norms):
                at = (own.training == training) & (own.attack_p == p) & (own.attack_eps == strength[p])
                cell = 100 * own[at].value
                values[i, j] = cell.mean()
                half = half_width(cell.dropna().tolist())
                if math.isnan(values[i, j]):
                    continue
                text = f"{values[i, j]:.1f}" + ("" if math.isnan(half) else f"\n± {half:.1f}")
                shade = "white" if values[i, j] > 60 else "black"
                ax.text(j, i, text, ha="center", va="center", fontsize=7, color=shade)
        image = ax.imshow(values, cmap="cividis_r", vmin=0, vmax=100, aspect="auto")
        labels = [f"{style.norm_name(p)}\n$\\epsilon$ = {strength[p]}" for p in norms]
        ax.set_xticks(range(len(norms)), labels)
        ax.set_yticks(range(len(names)), [style.p_name(name) for name in names])
        ax.tick_params(length=0)
        for spine in ax.spines.values():
            spine.set_visible(False)
        ax.set_title(model)
        ax.set_xlabel("attack")
    axes[0, 0].set_ylabel("training")
    figure.colorbar(image, ax=axes, label=ERROR, fraction=0.05, pad=0.02)
    return figure


def learning_curves(history: pd.DataFrame, chosen: pd.DataFrame) -> Figure:
    """Training loss and validation error by epoch of the chosen settings, in their selection runs."""
    final = chosen.drop_duplicates(["model", "objective", "p", "eps"])[["model", "objective", "p", "eps"]]
    parts = by_objective(history.merge(final, on=["model", "objective", "p", "eps"]))
    names, looks = common.trainings(parts)
    columns = (("loss", "training loss", 1), ("held_out_error", f"validation {ERROR}", 100))
    figure, axes = common.grid(len(parts), 2, sharex=True, width=2.9)
    for row, (name, part) in enumerate(parts):
        for column, (quantity, label, scale) in enumerate(columns):
            ax = axes[row, column]
            for training in training_order(part):
                own = part[part.training == training]
                summary = over_seeds(own.assign(value=scale * own[quantity]), ["epoch"])
                half = summary.half.where(summary.seeds >= FEWEST, 0)
                ax.plot(summary.epoch, summary["mean"], color=looks[training]["color"], **common.dash(training))
                for epoch in own[own.loss.isna()].groupby(["eps", "seed"]).epoch.min():
                    _mark_divergence(ax, epoch, looks[training]["color"])
                low = np.maximum(summary["mean"] - half, summary["mean"] / 3)  # the axis is logarithmic
                ax.fill_between(
                    summary.epoch, low, summary["mean"] + half, color=looks[training]["color"], alpha=0.15, lw=0
                )
            common.log_axis(ax)
            if quantity == "held_out_error":
                ax.set_ylim(top=min(ax.get_ylim()[1], 100))
            ax.set_ylabel(f"{name}\n{label}" if column == 0 else label)
            if row == len(parts) - 1:
                ax.set_xlabel("epoch")
                ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles = [
        Line2D([], [], color=looks[name]["color"], label=style.p_name(name), **common.dash(name)) for name in names
    ]
    if any(part.loss.isna().any() for _, part in parts):
        handles.append(Line2D([], [], color="black", label="a replica diverged", **DIVERGED))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def _mark_divergence(ax: Axes, epoch: float, color: str) -> None:
    """A cross on the epoch axis; it has no part in the layout, whose panels it would push together."""
    (mark,) = ax.plot(epoch, 0, color=color, transform=ax.get_xaxis_transform(), clip_on=False, **DIVERGED)
    mark.set_in_layout(False)


def objectives(test: pd.DataFrame) -> Figure:
    """All objectives of one model beside each other: a line per objective, a panel per error, a mark per p.

    Errors under attack are those of the multi-step attack at the middle eps of each norm's grid; plain is the line
    across with its interval. Several models stand below each other.
    """
    table = test[test.metric == "error"]
    table = table.assign(value=100 * table.value)
    models, names = list(dict.fromkeys(table.model)), list(dict.fromkeys(table[table.p != "none"].objective))
    attacked = table[table.attack == "multi_step"]
    columns = [("test error, %", table[table.attack == "none"])]
    for p in by_number(attacked.attack_p):
        own = attacked[attacked.attack_p == p]
        eps = middle(own.attack_eps)
        title = f"{ERROR}, attack in {style.norm_name(p)},\n$\\epsilon$ = {eps}"
        columns.append((title, own[own.attack_eps == eps]))
    norms = by_number(table[table.p != "none"].p)
    looks = style.series([f"p = {p}" for p in norms])
    height = 0.19 * len(names) + 0.3
    figure, axes = common.grid(len(models), len(columns), sharey=True, height=height)
    for row, model in enumerate(models):
        for column, (title, part) in enumerate(columns):
            ax, own = axes[row, column], part[part.model == model]
            base = own[own.p == "none"].value
            ax.axvline(base.mean(), **common.line("plain"))
            if len(base) >= 2:
                width = half_width(base.tolist())
                ax.axvspan(base.mean() - width, base.mean() + width, color=style.BASELINE["color"], alpha=0.15, lw=0)
            for i, p in enumerate(norms):
                summary = over_seeds(own[own.p == p], ["objective"])
                y = [names.index(name) + 0.16 * (i - (len(norms) - 1) / 2) for name in summary.objective]
                mean, half = summary["mean"].to_numpy(), summary.half.fillna(0).to_numpy()
                ends = [mean - np.maximum(mean - half, mean / 3), np.minimum(half, 100 - mean)]  # an error is a share
                ax.errorbar(mean, y, xerr=ends, ls="", capsize=1.5, elinewidth=0.7, **looks[f"p = {p}"])
            if column == 0:
                for anchor in (a for a in anchors(str(test.dataset.iloc[0])) if not a.p):
                    ax.axvline(anchor.error, ls=":", lw=0.8, color="#000000")
            if ax.get_xlim()[1] > FAR * base.mean():
                ax.set_xscale("log")
                ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                ax.xaxis.set_minor_formatter(FuncFormatter(common.sparse))
            ax.set_xlabel(title)
            ax.grid(axis="y", lw=0.3, color="#dddddd")
        axes[row, 0].set_yticks(range(len(names)), names)
        axes[row, 0].set_ylim(len(names) - 0.5, -0.5)
        if len(models) > 1:
            axes[row, 0].set_ylabel(model)
    handles = [Line2D([], [], **common.line("plain"), label="plain")]
    if any(not anchor.p for anchor in anchors(str(test.dataset.iloc[0]))):
        handles.append(Line2D([], [], ls=":", lw=0.8, color="#000000", label="published (other networks)"))
    handles += [Line2D([], [], ls="", label=style.p_name(name), **looks[name]) for name in looks if name != "plain"]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def sample_size(test: pd.DataFrame) -> Figure:
    """Test error against the number of training images, and as a share of plain's: a row per model.

    test: measurements of the final runs at every size. The share is the mean of the ratios of equal seeds, which start
    from the same weights and see the same order of images.
    """
    clean = with_training(test[(test.attack == "none") & (test.metric == "error")])
    clean = clean.assign(value=100 * clean.value)
    base = clean[clean.p == "none"].set_index(["model", "n_train", "seed"]).value
    plain = base.loc[list(clean[["model", "n_train", "seed"]].itertuples(index=False, name=None))].to_numpy()
    names, models = training_order(clean), list(dict.fromkeys(clean.model))
    looks = style.series(names)
    figure, axes = common.grid(len(models), 2, sharex=True, width=3.4, height=2.2)
    for row, model in enumerate(models):
        for column, (table, label) in enumerate(
            ((clean, "test error, %"), (clean.assign(value=clean.value / plain), "share of plain's test error"))
        ):
            ax = axes[row, column]
            for i, training in enumerate(names):
                summary = over_seeds(table[(table.model == model) & (table.training == training)], ["n_train"])
                summary = summary.sort_values("n_train")
                x = summary.n_train.to_numpy(float) * 1.03 ** (i - (len(names) - 1) / 2)  # side by side
                half = summary.half.fillna(0).to_numpy()
                ax.errorbar(
                    x, summary["mean"], half, capsize=2, elinewidth=0.7, **common.dash(training), **looks[training]
                )
            ax.set_xscale("log")
            ax.set_xlabel("training images")
            ax.set_ylabel(f"{model}\n{label}" if len(models) > 1 and column == 0 else label)
        for anchor in (a for a in anchors(str(test.dataset.iloc[0])) if not a.p):
            axes[row, 0].axhline(anchor.error, ls=":", lw=0.8, color="#000000")
        common.log_axis(axes[row, 0])
    handles = common.handles(looks, names, [("", clean)])
    if any(not anchor.p for anchor in anchors(str(test.dataset.iloc[0]))):
        handles.append(Line2D([], [], ls=":", lw=0.8, color="#000000", label="published, all training images"))
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure

"""Figures from tidy metrics. Each function draws one figure of one data set; none touches a network."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from gradreg import style
from gradreg.analysis import (
    attacks,
    by_objective,
    half_width,
    over_seeds,
    training_order,
    with_training,
)
from gradreg.labels import by_number, middle, parse

ERROR = "error, %"
FAR = 4  # times plain's error: from there on an axis is logarithmic
OTHER_DASHES = ("--", "-.", (0, (1, 3)), (0, (5, 5)))  # of attacks beside the family's
FEWEST = 3  # seeds; an interval from two is 13 times as wide as they are apart


def validation_error(validation: pd.DataFrame, chosen: pd.DataFrame) -> Figure:
    """Validation error against training eps: a row per model and objective, a column per norm, plain as a line across.

    validation: measurements of the selection runs; chosen: those of the final runs, whose settings are ringed.
    Intervals are drawn from three seeds on.
    """
    clean = validation[(validation.attack == "none") & (validation.metric == "error")]
    parts = by_objective(clean.assign(value=100 * clean.value))
    norms = by_number(clean[clean.p != "none"].p)
    figure, axes = _grid(len(parts), len(norms), sharey="row")
    for row, (name, part) in enumerate(parts):
        final = chosen[chosen.model == part.model.iloc[0]]
        base = _baseline(part, final)
        looks = style.series([f"p = {p}" for p in norms])
        for column, p in enumerate(norms):
            ax, own = axes[row, column], part[part.p == p]
            if own.empty:
                ax.set_visible(False)
                continue
            ax.axhline(base.mean(), **_line("plain"), label="plain (its best setting)")
            width = half_width(base.tolist())
            if len(base) >= FEWEST:
                ax.axhspan(base.mean() - width, base.mean() + width, color=style.BASELINE["color"], alpha=0.15, lw=0)
            _strengths(ax, own, final[final.objective == own.objective.iloc[0]], looks[f"p = {p}"])
            if row == 0:
                ax.set_title(f"training with {style.p_name(f'p = {p}')}")
            if row == len(parts) - 1:
                ax.set_xlabel(r"training $\epsilon$")
        shown = [ax for ax in axes[row] if ax.get_visible()]
        first = shown[0]
        low, high = first.get_ylim()  # of all columns
        if high > FAR * base.mean():
            for ax in shown:
                _log_axis(ax)
        else:
            first.set_ylim(max(0, low), high)
        first.set_ylabel(f"{name}\nvalidation {ERROR}")
        first.tick_params(labelleft=True)
    handles = [Line2D([], [], **_line("plain"), label="plain"), _ring()]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


def _strengths(ax: Axes, own: pd.DataFrame, final: pd.DataFrame, look: dict[str, Any]) -> None:
    """Error of one objective at one p against its eps, what diverged, and a ring about what was chosen."""
    summary = over_seeds(own, ["eps"])
    x = summary.eps.map(parse).to_numpy(float)
    order = np.argsort(x)
    half = summary.half.where(summary.seeds >= FEWEST, 0).to_numpy()
    ax.errorbar(x[order], summary["mean"].to_numpy()[order], half[order], capsize=2, elinewidth=0.7, **look)
    ax.plot(own.eps.map(parse), own.value, ".", ms=2.5, color=look["color"], alpha=0.5)
    for eps, count in own[own["flags"] == "diverged"].eps.value_counts().items():
        at = (parse(eps), summary[summary.eps == eps]["mean"].iloc[0])
        ax.annotate(f"{count} diverged", at, (0, 6), textcoords="offset points", ha="center", fontsize=6)
    for eps in set(final[final.p == own.p.iloc[0]].eps):
        best = summary[summary.eps == eps]["mean"]
        ax.plot([parse(eps)] * len(best), best, "o", ms=9, mfc="none", mec=look["color"], mew=0.8)
    ax.set_xscale("log")
    ticks = by_number(own.eps)
    ax.set_xticks([parse(t) for t in ticks], ticks)
    ax.xaxis.set_minor_locator(NullLocator())


def robust_error(test: pd.DataFrame) -> Figure:
    """Error under attack against attack eps: a row per model and objective, a column per attack norm, a line per p."""
    table = test[test.metric == "error"]
    table = table.assign(value=100 * table.value)
    parts, norms = by_objective(table), by_number(table[table.attack != "none"].attack_p)
    names, looks = _trainings(parts)
    dashes: dict[str, Any] = {"multi_step": "-", "one_step": ":"}
    dashes |= {name: OTHER_DASHES[i % len(OTHER_DASHES)] for i, name in enumerate(attacks(table)[1:])}
    figure, axes = _grid(len(parts), len(norms), sharex="col", sharey=True)
    for row, (label, part) in enumerate(parts):
        for column, p in enumerate(norms):
            ax = axes[row, column]
            own = part[part.attack_p == p]
            for training in training_order(part):
                for attack, dash in dashes.items():
                    line = own[(own.training == training) & (own.attack == attack)]
                    summary = over_seeds(line, ["attack_eps"])
                    x = summary.attack_eps.map(parse).to_numpy(float)
                    order = np.argsort(x)
                    look = looks[training] | ({"marker": ""} if attack != "multi_step" else {})
                    mean, half = summary["mean"].to_numpy()[order], summary.half.fillna(0).to_numpy()[order]
                    ax.plot(x[order], mean, ls=dash, **look)
                    if attack == "multi_step":
                        ax.fill_between(x[order], mean - half, mean + half, color=look["color"], alpha=0.15, lw=0)
            ax.set_ylim(0, 102)
            ax.set_xlim(left=0)
            if row == 0:
                ax.set_title(f"attack in {style.norm_name(p)}")
            if row == len(parts) - 1:
                ax.set_xlabel(rf"attack $\epsilon$ in {style.norm_name(p)}")
        axes[row, 0].set_ylabel(f"{label}\n{ERROR}")
    handles = _handles(looks, names, parts)
    handles += [Line2D([], [], color="k", ls=dash, label=attack.replace("_", "-")) for attack, dash in dashes.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 6))
    return figure


def norm_matrix(test: pd.DataFrame) -> Figure:
    """Error under the multi-step attack: training norm by attack norm, at the middle eps of each attack grid."""
    table = with_training(test[(test.attack == "multi_step") & (test.metric == "error")])
    names, norms = training_order(table), by_number(table.attack_p)
    models = list(dict.fromkeys(table.model))
    figure, axes = _grid(1, len(models), width=3.4, height=0.55 + 0.33 * len(names))
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
    names, looks = _trainings(parts)
    columns = (("loss", "training loss", 1), ("held_out_error", f"validation {ERROR}", 100))
    figure, axes = _grid(len(parts), 2, sharex=True, width=2.9)
    for row, (name, part) in enumerate(parts):
        for column, (quantity, label, scale) in enumerate(columns):
            ax = axes[row, column]
            for training in training_order(part):
                own = part[part.training == training]
                summary = over_seeds(own.assign(value=scale * own[quantity]), ["epoch"])
                half = summary.half.where(summary.seeds >= FEWEST, 0)
                ax.plot(summary.epoch, summary["mean"], color=looks[training]["color"], **_dash(training))
                low = np.maximum(summary["mean"] - half, summary["mean"] / 3)  # the axis is logarithmic
                ax.fill_between(
                    summary.epoch, low, summary["mean"] + half, color=looks[training]["color"], alpha=0.15, lw=0
                )
            _log_axis(ax)
            if quantity == "held_out_error":
                ax.set_ylim(top=min(ax.get_ylim()[1], 100))
            ax.set_ylabel(f"{name}\n{label}" if column == 0 else label)
            if row == len(parts) - 1:
                ax.set_xlabel("epoch")
                ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles = [Line2D([], [], color=looks[name]["color"], label=style.p_name(name), **_dash(name)) for name in names]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(names))
    return figure


def gradient_norms(test: pd.DataFrame) -> Figure:
    """Mean norms of the input gradient on test images: a panel per model and objective, a mark per p."""
    table = test[test.metric.str.startswith("gradient_norm_")]
    parts = by_objective(table.assign(q=table.metric.str.removeprefix("gradient_norm_")))
    norms = by_number(parts[0][1].q)
    names, looks = _trainings(parts)
    columns = min(2, len(parts))
    figure, axes = _grid(math.ceil(len(parts) / columns), columns, sharey=True, width=3.2, height=1.9)
    for ax in axes.flat[len(parts) :]:
        ax.set_visible(False)
    for ax, (name, part) in zip(axes.flat, parts, strict=False):
        order = training_order(part)
        for i, training in enumerate(order):
            summary = over_seeds(part[part.training == training], ["q"]).set_index("q").loc[norms]
            x = np.arange(len(norms)) + 0.12 * (i - (len(order) - 1) / 2)
            mean, half = summary["mean"].to_numpy(), summary.half.fillna(0).to_numpy()
            low = np.minimum(half, 0.9 * mean)  # the axis is logarithmic
            ax.errorbar(x, mean, [low, half], ls="", capsize=2, elinewidth=0.7, **looks[training])
        _log_axis(ax)
        ax.set_xticks(range(len(norms)), [style.norm_name(q) for q in norms])
        ax.set_title(name.replace("\n", ", "))
    for ax in axes[-1]:
        ax.set_xlabel("norm of the input gradient")
    for ax in axes[:, 0]:
        ax.set_ylabel(r"mean of $\Vert\partial L/\partial x\Vert$")
    figure.legend(handles=_handles(looks, names, parts), loc="outside upper center", ncols=len(names))
    return figure


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
    figure, axes = _grid(len(models), len(columns), sharey=True, height=height)
    for row, model in enumerate(models):
        for column, (title, part) in enumerate(columns):
            ax, own = axes[row, column], part[part.model == model]
            base = own[own.p == "none"].value
            ax.axvline(base.mean(), **_line("plain"))
            if len(base) >= 2:
                width = half_width(base.tolist())
                ax.axvspan(base.mean() - width, base.mean() + width, color=style.BASELINE["color"], alpha=0.15, lw=0)
            for i, p in enumerate(norms):
                summary = over_seeds(own[own.p == p], ["objective"])
                y = [names.index(name) + 0.16 * (i - (len(norms) - 1) / 2) for name in summary.objective]
                mean, half = summary["mean"].to_numpy(), summary.half.fillna(0).to_numpy()
                ends = [mean - np.maximum(mean - half, mean / 3), np.minimum(half, 100 - mean)]  # an error is a share
                ax.errorbar(mean, y, xerr=ends, ls="", capsize=1.5, elinewidth=0.7, **looks[f"p = {p}"])
            if ax.get_xlim()[1] > FAR * base.mean():
                ax.set_xscale("log")
                ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                ax.xaxis.set_minor_formatter(FuncFormatter(_sparse))
            ax.set_xlabel(title)
            ax.grid(axis="y", lw=0.3, color="#dddddd")
        axes[row, 0].set_yticks(range(len(names)), names)
        axes[row, 0].set_ylim(len(names) - 0.5, -0.5)
        if len(models) > 1:
            axes[row, 0].set_ylabel(model)
    handles = [Line2D([], [], **_line("plain"), label="plain")]
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
    figure, axes = _grid(len(models), 2, sharex=True, width=3.4, height=2.2)
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
                ax.errorbar(x, summary["mean"], half, capsize=2, elinewidth=0.7, **_dash(training), **looks[training])
            ax.set_xscale("log")
            ax.set_xlabel("training images")
            ax.set_ylabel(f"{model}\n{label}" if len(models) > 1 and column == 0 else label)
        _log_axis(axes[row, 0])
    figure.legend(handles=_handles(looks, names, [("", clean)]), loc="outside upper center", ncols=3)
    return figure


def _grid(
    rows: int,
    columns: int,
    *,
    width: float | None = None,
    height: float = 1.75,
    sharex: bool | Literal["row", "col"] = False,
    sharey: bool | Literal["row", "col"] = False,
) -> tuple[Figure, np.ndarray]:
    size = (width * columns if width else style.TEXT_WIDTH, height * rows + 0.45)
    figure, axes = plt.subplots(rows, columns, figsize=size, sharex=sharex, sharey=sharey, squeeze=False)
    return figure, axes


def _baseline(clean: pd.DataFrame, chosen: pd.DataFrame) -> pd.Series:
    """Errors of the baseline setting that was chosen, over its selection seeds."""
    name = chosen[chosen.p == "none"].objective.iloc[0]
    return clean[(clean.p == "none") & (clean.objective == name)].value


def _line(training: str) -> dict[str, Any]:
    return {"color": style.BASELINE["color"], **_dash(training)}


def _dash(training: str) -> dict[str, Any]:
    return {"ls": "--" if training == "plain" else "-"}


def _ring() -> Line2D:
    return Line2D([], [], ls="", marker="o", ms=8, mfc="none", mec="#444444", label="chosen")


def _trainings(parts: Sequence[tuple[str, pd.DataFrame]]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """The trainings of all parts of a figure in order, and the look of each."""
    names = training_order(pd.concat([part for _, part in parts]))
    return names, style.series(names)


def _handles(
    looks: dict[str, dict[str, Any]], names: list[str], parts: Sequence[tuple[str, pd.DataFrame]]
) -> list[Line2D]:
    """A legend entry per training, which says how many of its replicas diverged."""
    table = pd.concat([part for _, part in parts])
    lost = (
        table[table["flags"] == "diverged"]
        .drop_duplicates(["model", "n_train", "objective", "p", "seed"])
        .training.value_counts()
    )
    labels = {name: style.p_name(name) + (f" ({lost[name]} diverged)" if name in lost else "") for name in names}
    return [Line2D([], [], label=labels[name], **looks[name]) for name in names]


def _log_axis(ax: Axes) -> None:
    """A logarithmic y axis that says its numbers in full."""
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(FuncFormatter(_sparse))


def _sparse(value: float, _: int) -> str:
    """Ticks at 2 and 5 between the powers of ten."""
    leading = value / 10 ** math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:g}" if any(math.isclose(leading, wanted) for wanted in (2, 5)) else ""

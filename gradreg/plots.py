"""Figures from tidy metrics. Each function draws one figure of one data set; none touches a network."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gradreg import style
from gradreg.analysis import by_number, half_width, middle, over_seeds, training_order, with_training
from gradreg.labels import parse

ERROR = "error, %"
FEWEST = 3  # seeds; an interval from two is 13 times as wide as they are apart


def validation_error(validation: pd.DataFrame, chosen: pd.DataFrame) -> Figure:
    """Validation error against training eps, a panel per model and norm, plain as a line across.

    validation: measurements of the selection runs; chosen: those of the final runs, whose settings are ringed.
    Intervals are drawn from three seeds on.
    """
    clean = with_training(validation[(validation.attack == "none") & (validation.metric == "error")])
    clean = clean.assign(value=100 * clean.value)
    regularised = clean[clean.p != "none"]
    norms, models = by_number(regularised.p), list(dict.fromkeys(clean.model))
    figure, axes = _grid(len(models), len(norms), sharey="row", sharex="col")
    for row, model in enumerate(models):
        base = _baseline(clean[clean.model == model], chosen[chosen.model == model])
        for column, p in enumerate(norms):
            ax = axes[row, column]
            ax.axhline(base.mean(), **_line("plain"), label="plain (its best setting)")
            width = half_width(base.tolist())
            if len(base) >= FEWEST:
                ax.axhspan(base.mean() - width, base.mean() + width, color=style.BASELINE["color"], alpha=0.15, lw=0)
            own = regularised[(regularised.model == model) & (regularised.p == p)]
            looks = style.series([n for n in training_order(clean) if n != "plain"])
            for training in dict.fromkeys(own.training):
                part = own[own.training == training]
                look = looks[training]
                summary = over_seeds(part, ["eps"])
                x = summary.eps.map(parse).to_numpy(float)
                order = np.argsort(x)
                half = summary.half.where(summary.seeds >= FEWEST, 0).to_numpy()
                ax.errorbar(x[order], summary["mean"].to_numpy()[order], half[order], capsize=2, elinewidth=0.7, **look)
                ax.plot(part.eps.map(parse), part.value, ".", ms=2.5, color=look["color"], alpha=0.5)
                final = with_training(chosen)
                final = final[(final.model == model) & (final.p == p) & (final.objective == part.objective.iloc[0])]
                for eps, count in part[part["flags"] == "diverged"].eps.value_counts().items():
                    at = (parse(eps), summary[summary.eps == eps]["mean"].iloc[0])
                    ax.annotate(f"{count} diverged", at, (0, 6), textcoords="offset points", ha="center", fontsize=6)
                for eps in set(final.eps):
                    best = summary[summary.eps == eps]["mean"]
                    ax.plot([parse(eps)] * len(best), best, "o", ms=9, mfc="none", mec=look["color"], mew=0.8)
            ax.set_ylim(bottom=max(0, ax.get_ylim()[0]))
            ax.set_xscale("log")
            ticks = by_number(own.eps)
            ax.set_xticks([parse(t) for t in ticks], ticks)
            ax.minorticks_off()
            if row == 0:
                ax.set_title(f"training with {style.p_name(f'p = {p}')}")
            if row == len(models) - 1:
                ax.set_xlabel(rf"training $\epsilon$ in {style.norm_name(p)}")
        axes[row, 0].set_ylabel(f"{model}\nvalidation {ERROR}")
    handles = [Line2D([], [], **_line("plain"), label="plain"), _ring()]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


def robust_error(test: pd.DataFrame) -> Figure:
    """Error under attack against attack eps: a panel per model and attack norm, a line per training norm."""
    table = with_training(test[test.metric == "error"])
    table = table.assign(value=100 * table.value)
    names = training_order(table)
    looks = style.series(names)
    models, norms = list(dict.fromkeys(table.model)), by_number(table[table.attack != "none"].attack_p)
    figure, axes = _grid(len(models), len(norms), sharex="col", sharey=True)
    for row, model in enumerate(models):
        for column, p in enumerate(norms):
            ax = axes[row, column]
            own = table[(table.model == model) & (table.attack_p == p)]
            for training in names:
                for attack, dash in (("multi_step", "-"), ("one_step", ":")):
                    part = own[(own.training == training) & (own.attack == attack)]
                    summary = over_seeds(part, ["attack_eps"])
                    x = summary.attack_eps.map(parse).to_numpy(float)
                    order = np.argsort(x)
                    look = looks[training] | ({"marker": ""} if attack == "one_step" else {})
                    mean, half = summary["mean"].to_numpy()[order], summary.half.fillna(0).to_numpy()[order]
                    ax.plot(x[order], mean, dash, **look)
                    if attack == "multi_step":
                        ax.fill_between(x[order], mean - half, mean + half, color=look["color"], alpha=0.15, lw=0)
            ax.set_ylim(0, 102)
            ax.set_xlim(left=0)
            if row == 0:
                ax.set_title(f"attack in {style.norm_name(p)}")
            if row == len(models) - 1:
                ax.set_xlabel(rf"attack $\epsilon$ in {style.norm_name(p)}")
        axes[row, 0].set_ylabel(f"{model}\n{ERROR}")
    dashes = [Line2D([], [], color="k", ls=ls, label=label) for label, ls in (("multi-step", "-"), ("one-step", ":"))]
    figure.legend(handles=_handles(looks, names, table) + dashes, loc="outside upper center", ncols=len(names) + 2)
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
    table = with_training(history.merge(final, on=["model", "objective", "p", "eps"]))
    names, models = training_order(table), list(dict.fromkeys(table.model))
    looks = style.series(names)
    columns = (("loss", "training loss", 1), ("held_out_error", f"validation {ERROR}", 100))
    figure, axes = _grid(len(models), 2, sharex=True, width=2.9)
    for row, model in enumerate(models):
        for column, (quantity, label, scale) in enumerate(columns):
            ax = axes[row, column]
            for training in names:
                own = table[(table.model == model) & (table.training == training)]
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
            ax.set_ylabel(f"{model}\n{label}" if column == 0 else label)
            if row == len(models) - 1:
                ax.set_xlabel("epoch")
                ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles = [Line2D([], [], color=looks[name]["color"], label=style.p_name(name), **_dash(name)) for name in names]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(names))
    return figure


def gradient_norms(test: pd.DataFrame) -> Figure:
    """Mean norms of the input gradient on test images: a panel per model, a mark per training norm."""
    table = with_training(test[test.metric.str.startswith("gradient_norm_")])
    table = table.assign(q=table.metric.str.removeprefix("gradient_norm_"))
    names, norms = training_order(table), by_number(table.q)
    models = list(dict.fromkeys(table.model))
    looks = style.series(names)
    figure, axes = _grid(1, len(models), sharey=True, width=3.2, height=1.9)
    for ax, model in zip(axes[0], models, strict=True):
        for i, training in enumerate(names):
            own = table[(table.model == model) & (table.training == training)]
            summary = over_seeds(own, ["q"]).set_index("q").loc[norms]
            x = np.arange(len(norms)) + 0.12 * (i - (len(names) - 1) / 2)
            mean, half = summary["mean"].to_numpy(), summary.half.fillna(0).to_numpy()
            low = np.minimum(half, 0.9 * mean)  # the axis is logarithmic
            ax.errorbar(x, mean, [low, half], ls="", capsize=2, elinewidth=0.7, **looks[training])
        _log_axis(ax)
        ax.set_xticks(range(len(norms)), [style.norm_name(q) for q in norms])
        ax.set_xlabel("norm of the input gradient")
        ax.set_title(model)
    axes[0, 0].set_ylabel(r"mean of $\Vert\partial L/\partial x\Vert$ over images")
    figure.legend(handles=_handles(looks, names, table), loc="outside upper center", ncols=len(names))
    return figure


def gallery(paths: Sequence[str | Path]) -> Figure:
    """Images, the perturbation of each norm, the perturbed images and the answers: rows of images per network.

    paths: one file per network, as ``workflow/scripts/make_gallery.py`` writes them.
    """
    networks = []
    for path in paths:
        with np.load(path, allow_pickle=False) as file:
            networks.append(dict(file))
    about = [json.loads(str(arrays["about"])) for arrays in networks]
    cells = with_training(pd.DataFrame([entry["cell"] for entry in about]))
    norms, images = by_number(list(about[0]["eps"])), len(networks[0]["y"])
    columns, rows = 1 + 2 * len(norms), len(networks) * images
    size = (style.TEXT_WIDTH * columns / 7, 1.03 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for i, (arrays, (_, cell)) in enumerate(zip(networks, cells.iterrows(), strict=True)):
        for j in range(images):
            row = axes[i * images + j]
            x, label = arrays["x"][j], arrays["y"][j]
            _show(row[0], x, arrays["answer"][j], arrays["confidence"][j], label)
            if j == 0:
                own = "" if cell.p == "none" else f", $\\epsilon$ = {cell.eps}"
                row[0].set_ylabel(f"{style.p_name(cell.training)}{own}", fontsize=8, loc="top")
            for k, p in enumerate(norms):
                perturbed = arrays[f"x_{p}"][j]
                _show_step(row[1 + 2 * k], perturbed - x)
                _show(row[2 + 2 * k], perturbed, arrays[f"answer_{p}"][j], arrays[f"confidence_{p}"][j], label)
    axes[0, 0].set_title("image")
    for k, p in enumerate(norms):
        axes[0, 1 + 2 * k].set_title(f"{style.norm_name(p)}, $\\epsilon$ = {about[0]['eps'][p]}")
        axes[0, 2 + 2 * k].set_title("image + s")
    for ax in axes.flat:
        ax.set_xticks([])
        ax.set_yticks([])
        for spine in ax.spines.values():
            spine.set_visible(False)
    return figure


def _picture(x: np.ndarray) -> np.ndarray:
    """(C, H, W) as imshow wants it."""
    return x[0] if len(x) == 1 else x.transpose(1, 2, 0)


def _show_step(ax: Axes, step: np.ndarray) -> None:
    """A perturbation: signed grey values in two colours, colour channels around mid-grey; scaled to its largest."""
    picture, largest = _picture(step), max(float(abs(step).max()), 1e-12)
    if picture.ndim == 3:
        ax.imshow(0.5 + picture / (2 * largest))
    else:
        ax.imshow(picture, cmap=style.SIGNED, vmin=-largest, vmax=largest)
    ax.set_xlabel(f"max |s| = {largest:.2g}" if step.any() else "s = 0", fontsize=6, labelpad=2)


def _show(ax: Axes, x: np.ndarray, answer: int, confidence: float, label: int) -> None:
    ax.imshow(_picture(x), cmap="gray_r", vmin=0, vmax=1)
    right = answer == label
    # Colour and sign both tell right from wrong.
    ax.set_xlabel(
        f"{'✓' if right else '✗'} {answer} ({100 * confidence:.0f} %)",
        fontsize=6.5,
        labelpad=2,
        color=style.COLOURS[0] if right else style.COLOURS[1],
        fontweight="normal" if right else "bold",
    )


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


def _handles(looks: dict[str, dict[str, Any]], names: list[str], table: pd.DataFrame) -> list[Line2D]:
    """A legend entry per training, which says how many of its replicas diverged."""
    lost = table[table["flags"] == "diverged"].drop_duplicates(["model", "training", "seed"]).training.value_counts()
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

"""Theory: is the loss as linear as training takes it for, and does the gradient tell the error?"""

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradreg.planning.numerals import by_number
from gradreg.reporting.plots import common, style
from gradreg.reporting.plots.common import ERROR
from gradreg.reporting.summaries import by_objective, half_width, over_seeds, training_order


def gradient_norms(test: pd.DataFrame) -> Figure:
    """Mean norms of the input gradient on test images: a panel per model and objective, a mark per p."""
    table = test[test.metric.str.startswith("gradient_norm_")]
    parts = by_objective(table.assign(q=table.metric.str.removeprefix("gradient_norm_")))
    norms = by_number(parts[0][1].q)
    names, looks = common.trainings(parts)
    columns = min(2, len(parts))
    figure, axes = common.grid(math.ceil(len(parts) / columns), columns, sharey=True, width=3.2, height=1.9)
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
        common.log_axis(ax)
        ax.set_xticks(range(len(norms)), [style.norm_name(q) for q in norms])
        ax.set_title(name.replace("\n", ", "))
    for ax in axes[-1]:
        ax.set_xlabel("norm of the input gradient")
    for ax in axes[:, 0]:
        ax.set_ylabel(r"mean of $\Vert\partial L/\partial x\Vert$")
    figure.legend(handles=common.handles(looks, names, parts), loc="outside upper center", ncols=len(names))
    return figure


def linearisation(test: pd.DataFrame) -> Figure:
    """The rise of the loss along the steepest step against what its gradient predicts: a column per p of the step.

    A row per model and objective, a line per training over the attack grid's eps; both are means over images.
    """
    table = test[test.attack == "steepest"]
    parts, norms = by_objective(table), by_number(table.attack_p)
    names, looks = common.trainings(parts)
    figure, axes = common.grid(len(parts), len(norms), sharex="col", sharey="row")
    for row, (_, part) in enumerate(parts):
        for column, p in enumerate(norms):
            ax, own = axes[row, column], part[part.attack_p == p]
            if own.empty:
                ax.set_visible(False)
                continue
            for training in training_order(own):
                line = own[own.training == training]
                means = line.groupby(["attack_eps", "metric"]).value.mean().unstack("metric")
                means = means.loc[by_number(means.index)]
                means = means[(means > 0).all(axis=1)]  # both axes are logarithmic
                ax.plot(means.predicted_rise, means.rise, **common.dash(training), **looks[training])
            common.log_axis(ax)
            common.sparse_log_x(ax)
            reach = own[own.metric == "predicted_rise"].value.max()
            if reach > 0:
                ax.axline((reach / 2, reach / 2), (reach, reach), color="#999999", lw=0.8, ls=":")
    common.label_edges(
        axes,
        [f"step in {style.norm_name(p)}" for p in norms],
        [r"mean $\epsilon\,\Vert\partial L/\partial x\Vert_q$"] * len(norms),
        [f"{label}\nmean $L(x+s) - L(x)$" for label, _ in parts],
    )
    handles = common.handles(looks, names, parts)
    handles.append(Line2D([], [], color="#999999", lw=0.8, ls=":", label="linear"))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def error_and_gradient(validation: pd.DataFrame) -> Figure:
    """Validation error against the mean norm of the input gradient, a mark per network of the sweep.

    A row per model and objective, a column per norm; Spearman's rank correlation stands in each panel.
    """
    clean = validation[validation.attack == "none"]
    wide = clean.pivot_table(index=["model", "objective", "p", "eps", "seed"], columns="metric", values="value")
    wide = wide.dropna(subset=["error"]).reset_index()
    parts = by_objective(wide)
    norms = by_number([name.removeprefix("gradient_norm_") for name in wide if name.startswith("gradient_norm_")])
    names = training_order(pd.concat([part for _, part in parts]))
    looks = style.series(names)
    figure, axes = common.grid(len(parts), len(norms), sharex="col", sharey="row")
    for row, (_, part) in enumerate(parts):
        for column, q in enumerate(norms):
            ax = axes[row, column]
            for training in training_order(part):
                own = part[part.training == training]
                ax.plot(own[f"gradient_norm_{q}"], 100 * own.error, ls="", alpha=0.8, **looks[training])
            rank = part[[f"gradient_norm_{q}", "error"]].corr("spearman").iloc[0, 1]
            ax.set_title(f"rank correlation {rank:.2f}", fontsize=7)
            common.log_axis(ax)
    xlabels = [f"mean {style.norm_name(q)} norm of $\\partial L/\\partial x$" for q in norms]
    common.label_edges(axes, [], xlabels, [f"{label}\nvalidation {ERROR}" for label, _ in parts])
    handles = [Line2D([], [], ls="", label=style.p_name(name), **looks[name]) for name in names]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(names))
    return figure


def alignment(test: pd.DataFrame) -> Figure:
    """The alignment of gradient and image, a number for each training: |cos|, mean over images, interval over seeds."""
    parts = by_objective(test[test.metric == "alignment"])
    _, looks = common.trainings(parts)
    columns = min(2, len(parts))
    rows, height = math.ceil(len(parts) / columns), 0.2 * max(part.training.nunique() for _, part in parts) + 0.5
    figure, axes = common.grid(rows, columns, width=3.4, height=height, sharex=True)
    for ax in axes.flat[len(parts) :]:
        ax.set_visible(False)
    for ax, (name, part) in zip(axes.flat, parts, strict=False):
        order = training_order(part)
        for i, training in enumerate(order):
            values = part[part.training == training].value.dropna().tolist()
            half = half_width(values)
            mean = sum(values) / len(values) if values else math.nan
            ax.errorbar(
                mean, i, xerr=0 if math.isnan(half) else half, capsize=2, ls="", elinewidth=0.7, **looks[training]
            )
        ax.set_yticks(range(len(order)), [style.p_name(training.split(", ")[-1]) for training in order])
        ax.set_ylim(len(order) - 0.5, -0.5)
        ax.set_title(name.replace("\n", ", "))
        ax.set_xlabel("alignment |cos|")
        ax.tick_params(labelbottom=True)
    axes[0, 0].set_xlim(left=0)  # of all panels, once all have their marks
    return figure

"""Theory: is the loss as linear as training assumes, and does the gradient predict the error?"""

import math

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradreg.planning import numerals
from gradreg.planning.experiment import GIVEN
from gradreg.reporting import summaries
from gradreg.reporting.plots import common, style
from gradreg.reporting.plots.common import ERROR
from gradreg.reporting.summaries import NETWORK


def gradient_norms(test: pd.DataFrame) -> Figure:
    """Mean norms of the input gradient on test images: a panel per model and objective, a mark per p."""
    table = test[test.metric.str.startswith("gradient_norm_")]
    parts = summaries.by_objective(table.assign(q=table.metric.str.removeprefix("gradient_norm_")))
    norms = numerals.by_number(parts[0][1].q)
    looks = common.looks_of(parts)
    figure, axes = common.pairs(parts, sharey=True, width=3.2, height=1.9)
    for ax, (_, part) in zip(axes.flat, parts, strict=False):
        trainings = sorted(set(part.training))
        for i, training in enumerate(trainings):
            summary = summaries.over_seeds(part[part.training == training], ["q"]).set_index("q").loc[norms]
            x = np.arange(len(norms)) + 0.12 * (i - (len(trainings) - 1) / 2)
            mean, half = summary["mean"].to_numpy(), summary.half.fillna(0).to_numpy()
            low = np.minimum(half, 0.9 * mean)  # the axis is logarithmic
            ax.errorbar(x, mean, [low, half], ls="", capsize=2, elinewidth=0.7, **looks[training])
        common.log_axis(ax)
        ax.set_xticks(range(len(norms)), [style.norm_name(q) for q in norms])
    for ax in axes[-1]:
        ax.set_xlabel("norm of the input gradient")
    figure.supylabel(r"mean of $\Vert\partial L/\partial x\Vert$", fontsize=mpl.rcParams["axes.labelsize"])
    handles = common.handles(looks, parts)
    common.legend(figure, handles)
    return figure


def linearisation(test: pd.DataFrame) -> Figure:
    """The rise of the loss along the steepest step against the rise that its gradient predicts.

    A row per model and objective, a column per p of the step, a line per training over the attack grid's eps. Both
    rises are means over images.
    """
    table = test[test.attack == "steepest"]
    parts, norms = summaries.by_objective(table), numerals.by_number(table.attack_p)
    looks = common.looks_of(parts)
    figure, axes = common.grid(len(parts), len(norms), sharex="col", sharey="row")
    for row, (_, part) in zip(axes, parts, strict=True):
        for ax, _, panel in common.panels(row, part, "attack_p", norms):
            for training in sorted(set(panel.training)):
                line = panel[panel.training == training]
                means = line.groupby(["attack_eps", "metric"]).value.mean().unstack("metric")
                rises = line[line.metric == "rise"]
                over_seeds = summaries.over_seeds(rises, ["attack_eps"]).set_index("attack_eps")
                means = means.assign(half=over_seeds.half.where(over_seeds.seeds >= common.FEWEST, 0).fillna(0))
                means = means.loc[numerals.by_number(means.index)]
                means = means[(means[["predicted_rise", "rise"]] > 0).all(axis=1)]  # both axes are logarithmic
                ends = [np.minimum(means.half, 0.67 * means.rise), means.half]
                bars: style.Look = {"capsize": 1.5, "elinewidth": 0.7} | common.dash(training) | looks[training]
                ax.errorbar(means.predicted_rise, means.rise, ends, **bars)
            common.log_axis(ax)
            common.log_axis(ax, "x")
            reach = panel[panel.metric == "predicted_rise"].value.max()
            if reach > 0:
                ax.axline((reach / 2, reach / 2), (reach, reach), color="#999999", lw=0.8, ls=":")
    common.label_edges(
        axes,
        [f"step in {style.norm_name(p)}" for p in norms],
        [r"mean $\epsilon\,\Vert\partial L/\partial x\Vert_q$"] * len(norms),
        parts,
        "mean $L(x+s) - L(x)$",
    )
    handles = common.handles(looks, parts)
    handles.append(Line2D([], [], color="#999999", lw=0.8, ls=":", label="linear"))
    common.legend(figure, handles)
    return figure


def error_and_gradient(validation: pd.DataFrame) -> Figure:
    """Validation error against the mean norm of the input gradient, a mark per network of the sweep.

    A row per model and objective, a column per norm; each panel's title is Spearman's rank correlation.
    """
    # Networks from files may have been trained on these images.
    clean = validation[(validation.attack == "none") & (validation.p != GIVEN)]
    wide = clean.pivot_table(index=[*NETWORK, "seed"], columns="metric", values="value")
    wide = wide.reindex(columns=sorted(set(clean.metric))).dropna(subset=["error"]).reset_index()
    parts = summaries.by_objective(wide)
    prefix = "gradient_norm_"
    norms = numerals.by_number([metric.removeprefix(prefix) for metric in wide if metric.startswith(prefix)])
    looks = common.looks_of(parts)
    figure, axes = common.grid(len(parts), len(norms), sharex="col", sharey="row")
    for row, (_, part) in zip(axes, parts, strict=True):
        for ax, q in zip(row, norms, strict=True):
            for training in sorted(set(part.training)):
                networks = part[part.training == training]
                ax.plot(networks[prefix + q], 100 * networks.error, ls="", alpha=0.8, **looks[training])
            rank = part[[prefix + q, "error"]].corr("spearman").iloc[0, 1]
            roomy = style.width() / len(norms) > common.ROOMY
            ax.set_title(f"{'rank correlation' if roomy else 'ρ ='} {rank:.2f}", fontsize=7)
            common.log_axis(ax)
    xlabels = [rf"mean $\Vert\partial L/\partial x\Vert_{{{style.order(q)}}}$" for q in norms]
    common.label_edges(axes, [], xlabels, parts, f"validation {ERROR}")
    handles = [Line2D([], [], ls="", label=style.training_name(key), **look) for key, look in looks.items()]
    common.legend(figure, handles)
    return figure


def alignment(test: pd.DataFrame) -> Figure:
    """Alignment of gradient and image, a row per training: mean of |cos| over images, with its interval over seeds."""
    parts = summaries.by_objective(test[test.metric == "alignment"])
    looks = common.looks_of(parts)
    height = 0.2 * max(part.training.nunique() for _, part in parts) + 0.5
    figure, axes = common.pairs(parts, width=3.4, height=height, sharex=True)
    for ax, (_, part) in zip(axes.flat, parts, strict=False):
        trainings = sorted(set(part.training))
        for i, training in enumerate(trainings):
            values = part[part.training == training].value.dropna().tolist()
            half = summaries.half_width(values)
            mean = sum(values) / len(values) if values else math.nan
            error = 0 if math.isnan(half) else half
            ax.errorbar(mean, i, xerr=error, capsize=2, ls="", elinewidth=0.7, **looks[training])
        common.label_rows(ax, [style.training_name(training) for training in trainings])
        ax.set_xlabel("alignment |cos|")
        ax.tick_params(labelbottom=True)
    axes[0, 0].set_xlim(left=0)  # of all panels, after all marks are drawn
    return figure

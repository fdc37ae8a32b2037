"""Errors: by training strength, under attack, by objective, by number of training images."""

import itertools
import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

from gradreg.planning import numerals
from gradreg.planning.attacked import CLEAN, Criterion
from gradreg.planning.experiment import GIVEN
from gradreg.registry import literature
from gradreg.reporting import selection, summaries
from gradreg.reporting.plots import common, style
from gradreg.reporting.plots.common import ERROR, FAR, FEWEST
from gradreg.reporting.plots.style import Look
from gradreg.reporting.summaries import NETWORK, PLAIN, Training

STAR: Look = {"ls": "", "marker": "*", "ms": 7, "color": "#000000"}  # errors in the literature
DIVERGED: Look = {"ls": "", "marker": "x", "ms": 5, "mew": 1.2}  # on the epoch axis
SIZES = {
    "gaussian": ("Gaussian noise", "standard deviation"),
    "gaussian_unclipped": ("Gaussian noise, not clipped", "standard deviation"),
    "uniform": ("uniform noise", "largest change of a pixel"),
}
# For attacks other than one-step and multi-step.
OTHER_DASHES = ("--", "-.", (0, (1, 3)), (0, (5, 5)))
OTHER_MARKS = ("_", "|", "1", "2")


def validation_error(validation: pd.DataFrame, chosen: pd.DataFrame, by: Criterion = CLEAN) -> Figure:
    """Validation error against training eps: a panel per model, objective and norm, plain as a line across.

    validation: measurements of the selection runs; chosen: those of the final runs, whose settings are ringed; by: the
    error that settings competed by. Intervals are drawn from three seeds on.
    """
    competing = selection.errors(validation, by)
    parts = summaries.by_objective(competing.assign(value=100 * competing.value))
    looks = style.series([Training(p) for p in numerals.by_number(competing[summaries.regularised(competing)].p)])
    labels = (r"training $\epsilon$ (logarithmic)", f"validation {ERROR}")
    figure, rows = common.by_training(parts, *labels, sharey="row")
    for row in rows:
        least = math.inf
        for ax, part, panel in row:
            p, final = panel.p.iloc[0], chosen[chosen.model == part.model.iloc[0]]
            plain = common.baseline(part, final)
            least = min(least, plain.mean())
            ax.axhline(plain.mean(), **common.PLAIN_LINE, label="plain (its best setting)")
            half = summaries.half_width(plain.tolist())
            if len(plain) >= FEWEST:
                ax.axhspan(plain.mean() - half, plain.mean() + half, color=style.BASELINE["color"], alpha=0.15, lw=0)
            ax.margins(y=0.2)  # for the rings
            _strengths(ax, panel, final[final.objective == panel.objective.iloc[0]], looks[Training(p)])
        low, high = row[0][0].get_ylim()  # of the whole row
        if high > FAR * least:
            for ax, *_ in row:
                common.log_axis(ax)
        else:
            row[0][0].set_ylim(max(0, low), high)
    handles = [Line2D([], [], **common.PLAIN_LINE, label="plain"), common.ring()]
    common.legend(figure, handles)
    return figure


def _strengths(ax: Axes, panel: pd.DataFrame, final: pd.DataFrame, look: Look) -> None:
    """Error of one objective at one p against its eps; divergence is annotated, the chosen eps is ringed."""
    p, ticks, places = panel.p.iloc[0], numerals.by_number(panel.eps), None
    final = final[final.p == p]
    if numerals.is_joined(p):  # there is no one number: the eps stand side by side
        places = range(1, len(ticks) + 1)
        numbers = dict(zip(ticks, map(str, places), strict=True))
        panel, final = (table.assign(eps=table.eps.map(numbers)) for table in (panel, final))
    x, mean, half = common.curve(panel, "eps", FEWEST)
    ax.errorbar(x, mean, half, capsize=2, elinewidth=0.7, **look)
    ax.plot(panel.eps.map(numerals.parse), panel.value, ".", ms=2.5, color=look["color"], alpha=0.5)
    heights = dict(zip(x, mean, strict=True))
    for eps, networks in panel.groupby(panel.eps.map(numerals.parse)):
        if summaries.diverged(networks).any():
            text = f"diverged:\n{summaries.divergence(networks)}"
            ax.annotate(text, (eps, heights[eps]), (0, 6), textcoords="offset points", ha="center", fontsize=6)
    for eps in heights.keys() & set(final.eps.map(numerals.parse)):
        ax.plot(eps, heights[eps], "o", ms=9, mfc="none", mec=look["color"], mew=0.8)
    if places:
        ax.set_xlabel(ax.get_xlabel().replace(" (logarithmic)", ""))
    elif len(ticks) > 1:
        ax.set_xscale("log")
    common.label_strengths(ax, ticks, places)
    ax.xaxis.set_minor_locator(NullLocator())


def robust_error(test: pd.DataFrame) -> Figure:
    """Error under attack against attack eps: a row per model and objective, a column per attack norm, a line per p.

    An attack with only one eps is a mark. Flagged values are framed; stars are errors in the literature under a
    one-step attack, of networks that the legend names, as they may be others than those of the row.
    """
    table = test[(test.metric == "error") & (test.attack_p != "")]
    table = table.assign(value=100 * table.value)
    parts, norms = summaries.by_objective(table), numerals.by_number(table.attack_p)
    entries = literature.entries(str(test.dataset.iloc[0]))
    known = [entry for entry in entries if any(attack[0] in norms for attack in entry.attacks)]
    stars = [attack for entry in known for attack in entry.attacks]
    looks = common.looks_of(parts)
    attack_looks = _attack_looks(table)
    lines = max(len(numerals.members(p)) for p in norms)  # of the labels below the panels
    height = 1.75 + 0.15 * (lines - 1) / len(parts)
    figure, axes = common.grid(len(parts), len(norms), sharex="col", sharey=True, height=height)
    framed = False
    for row, (_, part) in enumerate(parts):
        for ax, p in zip(axes[row], norms, strict=True):
            panel = part[part.attack_p == p]
            strengths = numerals.by_number(panel.attack_eps)
            if numerals.is_joined(p):  # there is no one number: the eps stand side by side
                places = {eps: str(place) for place, eps in enumerate(strengths, 1)}
                panel = panel.assign(attack_eps=panel.attack_eps.map(places))
            for training in sorted(set(part.training)):
                for attack, attack_look in attack_looks.items():
                    line = panel[(panel.training == training) & (panel.attack == attack)]
                    x, mean, half = common.curve(line, "attack_eps")
                    flagged = np.isin(x, line[summaries.suspect(line)].attack_eps.map(numerals.parse).to_numpy(float))
                    look = looks[training] | attack_look
                    if len(x) == 1 and not look["marker"]:
                        look |= {"marker": "."}  # a line of one point would be invisible
                    ax.plot(x, mean, **look)
                    if flagged.any():
                        ax.plot(x[flagged], mean[flagged], **common.FLAGGED)
                        framed = True
                    if attack == "multi_step":
                        ax.fill_between(x, mean - half, mean + half, color=look["color"], alpha=0.15, lw=0)
            for _, eps, error in (star for star in stars if star[0] == p and row == 0):
                ax.plot(numerals.parse(eps), error, **STAR)
            ax.set_ylim(0, 102)
            ax.set_xlim(left=0)
            if numerals.is_joined(p):
                common.label_strengths(ax, strengths, range(1, len(strengths) + 1))
    common.label_edges(
        axes,
        [f"attack in {style.norm_name(p)}" for p in norms],
        [rf"attack $\epsilon$ in {common.norm_names(p)}" for p in norms],
        parts,
        ERROR,
    )
    handles = common.handles(looks, parts)
    for attack, look in attack_looks.items():
        handles.append(Line2D([], [], color="k", label=attack.replace("_", "-"), **{"marker": "", **look}))
    handles += [common.flagged()] if framed else []
    networks = "; ".join(dict.fromkeys(entry.network for entry in known))
    handles += [Line2D([], [], label=f"literature ({networks}), one step", **STAR)] if stars else []
    common.legend(figure, handles)
    return figure


def _attack_looks(table: pd.DataFrame) -> dict[str, Look]:
    """The look of each attack: a line over a grid of eps, a mark if there is only one eps."""
    looks: dict[str, Look] = {"multi_step": {"ls": "-"}, "one_step": {"ls": ":", "marker": ""}}
    for i, attack in enumerate(summaries.attacks(table)[1:]):
        strengths = table[table.attack == attack].groupby("attack_p").attack_eps.nunique()
        line = {"ls": OTHER_DASHES[i % len(OTHER_DASHES)], "marker": ""}
        mark = {"ls": "", "marker": OTHER_MARKS[i % len(OTHER_MARKS)], "ms": 8, "mew": 1.4}
        looks[attack] = line if strengths.max() > 1 else mark
    return looks


def noise(test: pd.DataFrame) -> Figure:
    """Error under noise against its size: a row per model and objective, a column per distribution, a line per p."""
    table = test[(test.metric == "error") & test.attack.isin([*SIZES, "none"])]
    table = table.assign(value=100 * table.value, attack_eps=table.attack_eps.replace("", "0"))
    parts = summaries.by_objective(table)
    distributions = [distribution for distribution in SIZES if distribution in set(table.attack)]
    looks = common.looks_of(parts)
    figure, axes = common.grid(len(parts), len(distributions), sharex="col", sharey="row", width=3.4)
    for row, (_, part) in zip(axes, parts, strict=True):
        for ax, distribution in zip(row, distributions, strict=True):
            panel = part[part.attack.isin([distribution, "none"])]
            for training in sorted(set(part.training)):
                x, mean, half = common.curve(panel[panel.training == training], "attack_eps")
                ax.plot(x, mean, **common.dash(training), **looks[training])
                low = np.maximum(mean - half, mean / 3)  # the axis is logarithmic
                ax.fill_between(x, low, mean + half, color=looks[training]["color"], alpha=0.15, lw=0)
            common.log_axis(ax)
    titles, xlabels = zip(*(SIZES[distribution] for distribution in distributions), strict=True)
    common.label_edges(axes, titles, xlabels, parts, ERROR)
    handles = common.handles(looks, parts)
    common.legend(figure, handles)
    return figure


def norm_matrix(test: pd.DataFrame) -> Figure:
    """Error under the multi-step attack: training norm by attack norm, at the middle eps of each attack grid."""
    table = summaries.with_training(test[(test.attack == "multi_step") & (test.metric == "error")])
    norms, models = numerals.by_number(table.attack_p), list(dict.fromkeys(table.model))
    most = max(part.training.nunique() for _, part in table.groupby("model"))
    longest = max(len(str(training)) for training in table.training)
    high = len(models) * (0.33 * most + 0.55) < style.PAGE_HEIGHT  # cells have room for two lines
    width = common.LETTER * longest + (0.55 if high else 0.85) * len(norms) + 0.9
    columns = len(models) if len(models) * width < style.width() else 1
    width = min(width, style.width())
    figure, axes = common.grid(len(models) // columns, columns, width=width, height=0.33 * most + 0.55)
    strength = {p: numerals.middle(table[table.attack_p == p].attack_eps) for p in norms}
    for ax, model in zip(axes.flat, models, strict=True):
        panel = table[table.model == model]
        trainings = sorted(set(panel.training))
        values = np.full((len(trainings), len(norms)), np.nan)
        for (i, training), (j, p) in itertools.product(enumerate(trainings), enumerate(norms)):
            rows = (panel.training == training) & (panel.attack_p == p) & (panel.attack_eps == strength[p])
            errors = 100 * panel[rows].value
            values[i, j] = errors.mean()
            text = _mean(errors, "\n" if high else " ")
            ax.text(j, i, text, ha="center", va="center", fontsize=7, color="white" if values[i, j] > 60 else "black")
        image = ax.imshow(values, cmap="cividis_r", vmin=0, vmax=100, aspect="auto")
        names = [style.norm_name(p).replace(" ", "\n") for p in norms]
        labels = [f"{name}\n{common.strength(strength[p], 1)}" for name, p in zip(names, norms, strict=True)]
        ax.set_xticks(range(len(norms)), labels)
        ax.set_yticks(range(len(trainings)), [style.training_name(training) for training in trainings])
        ax.tick_params(length=0)
        for spine in ax.spines.values():
            spine.set_visible(False)
        ax.set_title(model)
    for ax in axes[-1]:
        ax.set_xlabel("attack")
    for ax in axes[:, 0]:
        ax.set_ylabel("training")
    figure.colorbar(image, ax=axes, label=ERROR, fraction=0.05, pad=0.02)
    return figure


def _mean(errors: pd.Series, between: str) -> str:
    """A mean and its half-width as text; empty where there are no errors."""
    half = summaries.half_width(errors.dropna().tolist())
    parts = [f"{errors.mean():.1f}"] if errors.notna().any() else []
    return between.join(parts + ([] if math.isnan(half) else [f"± {half:.1f}"]))


def learning_curves(history: pd.DataFrame, chosen: pd.DataFrame) -> Figure:
    """Training loss and validation error by epoch of the chosen settings, in their selection runs."""
    final = chosen.drop_duplicates(NETWORK)[NETWORK]
    parts = summaries.by_objective(history.merge(final, on=NETWORK))
    looks = common.looks_of(parts)
    columns = (("loss", "training loss", 1), ("held_out_error", f"validation {ERROR}", 100))
    figure, axes = common.grid(len(parts), 2, sharex=True, width=2.9)
    for row, (_, part) in enumerate(parts):
        for ax, (quantity, _, scale) in zip(axes[row], columns, strict=True):
            for training in sorted(set(part.training)):
                line = part[part.training == training]
                color = looks[training]["color"]
                summary = summaries.over_seeds(line.assign(value=scale * line[quantity]), ["epoch"])
                half = summary.half.where(summary.seeds >= FEWEST, 0)
                ax.plot(summary.epoch, summary["mean"], color=color, **common.dash(training))
                for epoch in line[line.loss.isna()].groupby(["eps", "seed"]).epoch.min():
                    _mark_divergence(ax, epoch, color)
                low = np.maximum(summary["mean"] - half, summary["mean"] / 3)  # the axis is logarithmic
                ax.fill_between(summary.epoch, low, summary["mean"] + half, color=color, alpha=0.15, lw=0)
            common.log_axis(ax)
            if quantity == "held_out_error":
                ax.set_ylim(top=min(ax.get_ylim()[1], 100))
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    common.label_edges(axes, [label for _, label, _ in columns], ["epoch"] * 2, parts)
    handles = [
        Line2D([], [], color=look["color"], label=style.training_name(training), **common.dash(training))
        for training, look in looks.items()
    ]
    if any(part.loss.isna().any() for _, part in parts):
        handles.append(Line2D([], [], color="black", label="a replica diverged", **DIVERGED))
    common.legend(figure, handles)
    return figure


def _mark_divergence(ax: Axes, epoch: float, color: str) -> None:
    """A cross on the epoch axis, which the layout ignores: it would push the panels together."""
    (mark,) = ax.plot(epoch, 0, color=color, transform=ax.get_xaxis_transform(), clip_on=False, **DIVERGED)
    mark.set_in_layout(False)


def objectives(test: pd.DataFrame) -> Figure:
    """All objectives side by side: a row per model, a column per error, a line per objective, a mark per p.

    Errors under attack are those of the multi-step attack at the middle eps of each norm's grid. Plain is the line
    across, with its interval.
    """
    table = test[test.metric == "error"]
    table = table.assign(value=100 * table.value)
    regularised, attacked = table[summaries.regularised(table)], table[table.attack == "multi_step"]
    models, names = list(dict.fromkeys(table.model)), list(dict.fromkeys(regularised.objective))
    columns = [("test error, %", table[table.attack == "none"])]
    attack_norms = numerals.by_number(attacked.attack_p)
    for p in attack_norms:
        in_norm = attacked[attacked.attack_p == p]
        eps = numerals.middle(in_norm.attack_eps)
        title = f"{ERROR}, attack\nin {common.attack_name(p, eps)}"
        if style.width() / (1 + len(attack_norms)) < common.ROOMY:
            title = f"{ERROR}, in\n{style.norm_name(p)},\n{common.strength(eps, 2)}"
        columns.append((title, in_norm[in_norm.attack_eps == eps]))
    norms = [Training(p) for p in numerals.by_number(regularised.p)]
    looks = style.series(norms)
    lines = max(title.count("\n") + 1 for title, _ in columns)
    trained = {
        name: [norm for norm in norms if norm.p in set(part.p)] for name, part in regularised.groupby("objective")
    }
    most = max(5, *map(len, trained.values()))  # marks that an objective's line has room for
    places = {
        (name, norm): names.index(name) + (i - (len(beside) - 1) / 2) * 0.8 / most
        for name, beside in trained.items()
        for i, norm in enumerate(beside)
    }
    figure, axes = common.grid(
        len(models),
        len(columns),
        sharey=True,
        height=0.19 * (most / 5) * len(names) + 0.15 * lines + 0.1,
        names=common.LETTER * max(map(len, names)),
    )
    for row, model in enumerate(models):
        for ax, (title, column) in zip(axes[row], columns, strict=True):
            panel = column[column.model == model]
            plain = panel[panel.p == "none"].value
            ax.axvline(plain.mean(), **common.PLAIN_LINE)
            if len(plain) >= 2:
                half = summaries.half_width(plain.tolist())
                ax.axvspan(plain.mean() - half, plain.mean() + half, color=style.BASELINE["color"], alpha=0.15, lw=0)
            for training in norms:
                summary = summaries.over_seeds(panel[panel.p == training.p], ["objective"])
                y = [places[name, training] for name in summary.objective]
                mean, half = summary["mean"].to_numpy(), summary.half.fillna(0).to_numpy()
                ends = [mean - np.maximum(mean - half, mean / 3), np.minimum(half, 100 - mean)]  # an error is a share
                ax.errorbar(mean, y, xerr=ends, ls="", capsize=1.5, elinewidth=0.7, **looks[training])
            if ax.get_xlim()[1] > FAR * plain.mean():
                common.log_axis(ax, "x")
            ax.set_xlabel(title if row == len(models) - 1 else "")
            ax.grid(axis="y", lw=0.3, color="#dddddd")
        common.label_rows(axes[row, 0], names)
        if len(models) > 1:
            axes[row, 0].set_title(model, loc="left")
    handles = [Line2D([], [], **common.PLAIN_LINE, label="plain")]
    handles += [Line2D([], [], ls="", label=style.training_name(training), **looks[training]) for training in norms]
    common.legend(figure, handles)
    return figure


def sample_size(test: pd.DataFrame) -> Figure:
    """Test error against the number of training images, and as a share of plain's: a row per model.

    test: measurements of the final runs at every size. The share is the mean over seeds of the ratio to plain with the
    same seed, which starts from the same weights and sees the images in the same order.
    """
    trained = test[test.p != GIVEN]
    clean = summaries.with_training(trained[(trained.attack == "none") & (trained.metric == "error")])
    clean = clean.assign(value=100 * clean.value)
    by_seed = clean[clean.training == PLAIN].set_index(["model", "n_train", "seed"]).value
    plain = by_seed.loc[list(clean[["model", "n_train", "seed"]].itertuples(index=False, name=None))].to_numpy()
    columns = [(clean, "test error, %"), (clean.assign(value=clean.value / plain), "share of plain's test error")]
    models, looks = list(dict.fromkeys(clean.model)), style.series(sorted(set(clean.training)))
    figure, axes = common.grid(len(models), 2, sharex=True, width=3.4, height=2.2)
    for row, model in enumerate(models):
        for ax, (table, label) in zip(axes[row], columns, strict=True):
            for i, (training, look) in enumerate(looks.items()):
                line = table[(table.model == model) & (table.training == training)]
                summary = summaries.over_seeds(line, ["n_train"]).sort_values("n_train")
                x = summary.n_train.to_numpy(float) * 1.03 ** (i - (len(looks) - 1) / 2)  # side by side
                half = summary.half.fillna(0).to_numpy()
                ax.errorbar(x, summary["mean"], half, capsize=2, elinewidth=0.7, **common.dash(training), **look)
            ax.set_xscale("log")
            ax.set_xlabel("training images")
            ax.set_ylabel(f"{model}\n{label}" if len(models) > 1 and table is clean else label)
        common.log_axis(axes[row, 0])
    handles = common.handles(looks, [([], clean)])
    common.legend(figure, handles)
    return figure

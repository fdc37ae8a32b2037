"""Transfer: perturbations made for one network, shown to others."""

import textwrap
from typing import Any

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
from gradreg.reporting.summaries import NETWORK, Training

BESIDE = 8  # networks whose numbers are legible in a panel of a third of the text's width
QUANTITIES = (("error", f"{ERROR},\nof the target", 100), ("cosine", "cosine of the\nperturbations", 1))
NAME = 22  # letters of a line of a name in one column
# Pairs of plain networks, the most similar first.
SAME_NETWORK, OTHER_SEED, OTHER_MODEL = "the network itself", "other seed", "other architecture"
SAME_HALF, OTHER_HALF = "other seed, same half of the data", "other seed, other half of the data"
PAIRS = [SAME_NETWORK, OTHER_SEED, SAME_HALF, OTHER_HALF, OTHER_MODEL]


def transfer(table: pd.DataFrame) -> Figure:
    """Error and cosine of perturbations made for plain networks: a row per kind of target, a marker per attack norm.

    A mark is a pair of networks; targets have another seed as well, but for networks from files.
    """
    plain = table[(table.source_p == "none") & (table.source_seed == 0)]
    targets = plain[["target_objective", "target_p"]].set_axis(["objective", "p"], axis=1)
    plain = plain.assign(target_training=summaries.with_training(targets).training)
    plain = plain.assign(pair=pd.Series([_pair(row) for row in plain.to_dict("records")], plain.index, dtype=object))
    plain = plain[plain.pair.notna()]
    models, norms = list(dict.fromkeys(plain.source_model)), numerals.by_number(plain.attack_p)
    pairs_of = {}
    for model in models:
        shown = set(plain[plain.source_model == model].pair)
        pairs_of[model] = [pair for pair in PAIRS if pair in shown] + sorted(shown - set(PAIRS))
    each = 0.3 if style.narrow() else 0.2
    figure, axes = common.rows_of([len(pairs) for pairs in pairs_of.values()], 2, each, 0.4, width=3.4, sharex="col")
    looks = {p: style.look(i, style.GREYS) for i, p in enumerate(norms)}
    for row, (model, pairs) in enumerate(pairs_of.items()):
        names = [pair if pair in PAIRS else _trained_with(pair) for pair in pairs]
        for ax, (metric, label, scale) in zip(axes[row], QUANTITIES, strict=True):
            panel = plain[(plain.source_model == model) & (plain.metric == metric)]
            for i, p in enumerate(norms):
                marks = panel[panel.attack_p == p]
                y = [pairs.index(pair) + 0.2 * (i - (len(norms) - 1) / 2) for pair in marks.pair]
                ax.plot(scale * marks.value, y, ls="", **looks[p])
            if metric == "error":
                clean = plain[(plain.source_model == model) & (plain.metric == "clean_error")]
                y = [pairs.index(pair) for pair in clean.pair]
                ax.plot(100 * clean.value, y, ls="", marker="|", color="#000000", ms=7)
            common.label_rows(ax, [textwrap.fill(name, NAME) for name in names] if style.narrow() else names)
            ax.tick_params(labelleft=metric == "error")
            ax.grid(axis="y", lw=0.3, color="#dddddd")
            ax.set_xlim(left=min(0, ax.get_xlim()[0]))
            if row == len(models) - 1:
                ax.set_xlabel(label)
        axes[row, 0].set_title(f"made for plain {model}", loc="left")
    handles = []
    for p in norms:
        eps = plain[plain.attack_p == p].attack_eps.iloc[0]
        label = f"perturbed in {style.norm_name(p)}, $\\epsilon$ = {eps}"
        handles.append(Line2D([], [], ls="", label=label, **looks[p]))
    handles.append(Line2D([], [], ls="", marker="|", color="#000000", ms=7, label="as they are"))
    common.legend(figure, handles)
    return figure


def transfer_matrix(table: pd.DataFrame) -> Figure:
    """Error of each network (column) on perturbations made for another (row) with another seed: a panel per norm.

    Networks from files, of which there is one, are left out.
    """
    everything = table.n_train.astype(str)
    whole = table[(table.source_images == everything) & (table.target_images == everything)]
    whole = whole[(whole.source_p != GIVEN) & (whole.target_p != GIVEN)]  # of which there is one seed
    other = whole.target_seed.max()
    whole = whole[(whole.source_seed == 0) & (whole.target_seed == other) & (whole.metric == "error")]
    whole, sources = _with_name(whole, "source")
    whole, targets = _with_name(whole, "target")
    norms, count = numerals.by_number(whole.attack_p), len(sources)
    beside = count <= (BESIDE // 2 if style.narrow() else BESIDE)  # else the panels are stacked
    width = style.width() / (len(norms) if beside else 1)
    shape = (1, len(norms)) if beside else (len(norms), 1)
    height = min(0.3 * count, width) + 0.9
    figure, axes = common.grid(*shape, sharey=True, sharex=not beside, width=width, height=height)
    for ax, p in zip(axes.flat, norms, strict=True):
        panel = whole[whole.attack_p == p]
        values = 100 * panel.pivot_table(index="source", columns="target", values="value")
        values = values.reindex(index=sources, columns=targets)
        image = ax.imshow(values, cmap="cividis_r", vmin=0, vmax=100, aspect="auto")
        for (i, j), value in np.ndenumerate(values.to_numpy()):
            shade = "white" if value > 60 else "black"
            ax.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=6, color=shade)
        ax.set_xticks(range(len(targets)), targets, rotation=45, ha="right")
        ax.set_yticks(range(count), sources)
        ax.tick_params(length=0)
        ax.set_title(f"{style.norm_name(p)}, $\\epsilon$ = {panel.attack_eps.iloc[0]}")
    axes[0, 0].set_ylabel("made for (seed 0)")
    figure.supxlabel(f"shown to (seed {other})", fontsize=mpl.rcParams["axes.labelsize"])
    figure.colorbar(image, ax=axes, label=ERROR, fraction=0.05, pad=0.02)
    return figure


def _trained_with(training: Training) -> str:
    """The name of a target that is not plain."""
    return training.objective if training.given else f"trained with {style.training_name(training)}"


def _with_name(table: pd.DataFrame, side: str) -> tuple[pd.DataFrame, list[str]]:
    """The table with the name of the network on one side in a column ``side``, and these names in order."""
    networks = table[[f"{side}_{column}" for column in NETWORK]].set_axis(NETWORK, axis=1)
    networks = summaries.with_training(networks)
    models = list(dict.fromkeys(networks.model))
    keys = list(zip(networks.model.map(models.index), networks.training, strict=True))
    names = {
        (i, training): (f"{models[i]}, " if len(models) > 1 else "") + style.training_name(training)
        for i, training in sorted(set(keys))
    }
    return table.assign(**{side: [names[key] for key in keys]}), list(names.values())


def _pair(row: dict[str, Any]) -> str | Training | None:
    """A plain source and its target: one of PAIRS, the training of a target that is not plain, or None if not shown."""
    same_model, plain = row["source_model"] == row["target_model"], row["target_p"] == "none"
    images, everything = {row["source_images"], row["target_images"]}, str(row["n_train"])
    if row["target_p"] == GIVEN:
        return row["target_training"] if same_model and images == {everything} else None
    if row["source_seed"] == row["target_seed"]:
        return SAME_NETWORK if same_model and plain and images == {everything} else None
    if images == {everything}:
        if not plain:
            return row["target_training"] if same_model else None
        return OTHER_SEED if same_model else OTHER_MODEL
    if everything in images or not (same_model and plain):
        return None
    return SAME_HALF if len(images) == 1 else OTHER_HALF

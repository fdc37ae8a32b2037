"""Transfer: what is made for one network, and what it does to others."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradreg.planning.numerals import by_number
from gradreg.reporting.plots import common, style
from gradreg.reporting.plots.common import ERROR
from gradreg.reporting.summaries import training_order, with_training

BESIDE = 8  # networks whose numbers are legible in a panel of a third of the text
QUANTITIES = (("error", f"{ERROR}, of the target", 100), ("cosine", "cosine of the perturbations", 1))


def transfer(table: pd.DataFrame) -> Figure:
    """What perturbations of plain networks do to others: error and cosine by what differs, a colour per attack norm.

    A mark is a pair of networks; targets that are regularised differ in the seed as well.
    """
    plain = table[(table.source_p == "none") & (table.source_seed == 0)]
    targets = plain[["target_objective", "target_p"]].set_axis(["objective", "p"], axis=1)
    plain = plain.assign(target_training=with_training(targets).training)
    plain = plain.assign(case=[_case(row) for row in plain.to_dict("records")])
    plain = plain[plain.case != ""]
    models, norms = list(dict.fromkeys(plain.source_model)), by_number(plain.attack_p)
    cases = _order(plain.case)
    figure, axes = common.grid(len(models), 2, sharex="col", sharey=True, height=0.2 * len(cases) + 0.4, width=3.4)
    looks = style.series([f"p = {p}" for p in norms])
    for row, model in enumerate(models):
        for column, (metric, label, scale) in enumerate(QUANTITIES):
            ax, own = axes[row, column], plain[(plain.source_model == model) & (plain.metric == metric)]
            for i, p in enumerate(norms):
                part = own[own.attack_p == p]
                y = [cases.index(case) + 0.2 * (i - (len(norms) - 1) / 2) for case in part.case]
                ax.plot(scale * part.value, y, ls="", **looks[f"p = {p}"])
            if metric == "error":
                clean = plain[(plain.source_model == model) & (plain.metric == "clean_error")]
                at = [cases.index(case) for case in clean.case]
                ax.plot(100 * clean.value, at, ls="", marker="|", color="#000000", ms=7)
            _lines(ax, cases)
            if row == len(models) - 1:
                ax.set_xlabel(label)
        axes[row, 0].set_title(f"made for plain {model}", loc="left")
    handles = common.handles(looks, [f"p = {p}" for p in norms], [("", table.assign(flags="", training=""))])
    for handle, p in zip(handles, norms, strict=True):
        handle.set_linestyle("")
        eps = plain[plain.attack_p == p].attack_eps.iloc[0]
        handle.set_label(f"perturbed in {style.norm_name(p)}, $\\epsilon$ = {eps}")
    handles.append(Line2D([], [], ls="", marker="|", color="#000000", ms=7, label="as they are"))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def transfer_matrix(table: pd.DataFrame) -> Figure:
    """Error of each network (column) on what was made for another (row) of the other seed; a panel per attack norm."""
    whole = table[
        (table.source_images == table.n_train.astype(str)) & (table.target_images == table.n_train.astype(str))
    ]
    other = whole.target_seed.max()
    whole = whole[(whole.source_seed == 0) & (whole.target_seed == other) & (whole.metric == "error")]
    names = {}
    for side in ("source", "target"):
        columns = ("model", "objective", "p", "eps")
        own = whole[[f"{side}_{c}" for c in columns]].set_axis(list(columns), axis=1)
        own = with_training(own)
        several = own.model.nunique() > 1
        whole[side] = (own.model + ", " if several else "") + own.training
        names[side] = [
            (f"{m}, " if several else "") + t
            for m in dict.fromkeys(own.model)
            for t in training_order(own[own.model == m])
        ]
    norms, count = by_number(whole.attack_p), len(names["source"])
    beside = count <= BESIDE  # else the panels stand below each other
    width = style.TEXT_WIDTH / (len(norms) if beside else 1)
    shape = (1, len(norms)) if beside else (len(norms), 1)
    height = min(0.3 * count, width) + 0.9
    figure, axes = common.grid(*shape, sharey=True, sharex=not beside, width=width, height=height)
    for ax, p in zip(axes.flat, norms, strict=True):
        own = whole[whole.attack_p == p]
        values = 100 * own.pivot_table(index="source", columns="target", values="value").reindex(
            index=names["source"], columns=names["target"]
        )
        image = ax.imshow(values, cmap="cividis_r", vmin=0, vmax=100, aspect="auto")
        for (i, j), value in np.ndenumerate(values.to_numpy()):
            ax.text(
                j, i, f"{value:.0f}", ha="center", va="center", fontsize=6, color="white" if value > 60 else "black"
            )
        ax.set_xticks(range(len(names["target"])), [style.p_name(n) for n in names["target"]], rotation=45, ha="right")
        ax.set_yticks(range(count), [style.p_name(n) for n in names["source"]])
        ax.tick_params(length=0)
        ax.set_title(f"{style.norm_name(p)}, $\\epsilon$ = {own.attack_eps.iloc[0]}")
        ax.set_xlabel(f"shown to (seed {other})")
    axes[0, 0].set_ylabel("made for (seed 0)")
    figure.colorbar(image, ax=axes, label=ERROR, fraction=0.05, pad=0.02)
    return figure


def _case(row: dict[str, object]) -> str:
    """What differs between source and target, for a source that is plain; "" for pairs that are not shown."""
    same_images = row["source_images"] == row["target_images"]
    whole = row["source_images"] == str(row["n_train"])
    same_seed = row["source_seed"] == row["target_seed"]
    if row["source_model"] != row["target_model"]:
        shown = whole and same_images and row["target_p"] == "none" and not same_seed
        return "other architecture" if shown else ""
    if row["target_p"] != "none":
        return f"trained with {row['target_training']}" if whole and same_images and not same_seed else ""
    if whole and same_images:
        return "the network itself" if same_seed else "other seed"
    if whole or row["target_images"] == str(row["n_train"]):
        return ""
    if same_images:
        return "" if same_seed else "other seed, same half of the data"
    return "" if same_seed else "other seed, other half of the data"


def _order(cases: pd.Series) -> list[str]:
    """From what differs least to what differs most; the cases that there are."""
    half = "other seed, {} half of the data"
    first = ["the network itself", "other seed", half.format("same"), half.format("other"), "other architecture"]
    return [case for case in first if case in set(cases)] + sorted(set(cases) - set(first))


def _lines(ax: Axes, cases: list[str]) -> None:
    ax.set_yticks(range(len(cases)), [style.p_name(case) for case in cases])
    ax.set_ylim(len(cases) - 0.5, -0.5)
    ax.grid(axis="y", lw=0.3, color="#dddddd")
    ax.set_xlim(left=min(0, ax.get_xlim()[0]))

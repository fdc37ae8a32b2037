"""Summaries of tidy metrics: means over seeds, trainings, attacks, divergence and flags."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from gradreg.planning.numerals import parse

LEVEL = 0.95


def half_width(values: Sequence[float]) -> float:
    """Half the width of Student's 95 % interval for the mean; nan for fewer than two values."""
    if len(values) < 2:
        return math.nan
    quantile = stats.t.ppf((1 + LEVEL) / 2, len(values) - 1)
    return float(quantile * stats.sem(values))


def over_seeds(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean of ``value``, half-width of its interval and number of seeds per combination of ``by``, as they appear."""
    grouped = table.groupby(list(by), sort=False).value
    return grouped.agg(mean="mean", half=lambda v: half_width(v.tolist()), seeds="count").reset_index()


def with_training(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column ``training``: how a network was trained, short enough for a legend.

    "plain" for the baseline, else "p = 2"; the objective's name comes first where a table holds several.
    """
    regularised = table.p != "none"
    several = table[regularised].objective.nunique() > 1
    prefix = table.objective + ", " if several else ""
    return table.assign(training=np.where(regularised, prefix + "p = " + table.p, "plain"))


def by_objective(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """A part per model and objective, each with the baseline and a column ``training``; and a name for it.

    The name is that of the model, and of the objective where the table holds several.
    """
    parts = []
    several = table[table.p != "none"].objective.nunique() > 1
    for model, own in table.groupby("model", sort=False):
        for objective in dict.fromkeys(own[own.p != "none"].objective):
            part = own[(own.p == "none") | (own.objective == objective)]
            parts.append((f"{model}\n{objective}" if several else str(model), with_training(part)))
    return parts


def training_order(table: pd.DataFrame) -> list[str]:
    """The values of ``training``: plain, then by objective and p."""
    rows = table[["training", "objective", "p"]].drop_duplicates()
    keys = {
        training: ("", 0.0) if p == "none" else (objective if "," in training else " ", parse(p))
        for training, objective, p in rows.itertuples(index=False)
    }
    return sorted(keys, key=lambda training: keys[training])


def attacks(table: pd.DataFrame) -> list[str]:
    """The attacks of a table beside the one-step attack: the multi-step attack, then others, by name."""
    attacked = table[(table.metric == "error") & (table.attack_p != "")]
    return ["multi_step", *sorted(set(attacked.attack) - {"one_step", "multi_step"})]


def diverged(table: pd.DataFrame) -> pd.Series:
    """Which rows are of a network that diverged."""
    return table["flags"].str.contains(r"(?:^|\+)diverged:\d")


def divergence(table: pd.DataFrame) -> str:
    """How many networks of a table diverged, and in which epochs: "2 (epochs 3, 7)"; empty where none did."""
    lost = table[diverged(table)].drop_duplicates(["model", "n_train", "objective", "p", "eps", "seed"])
    if lost.empty:
        return ""
    epochs = sorted(set(lost["flags"].str.extract(r"diverged:(\d+)", expand=False).astype(int)))
    return f"{len(lost)} ({'epoch' if len(epochs) == 1 else 'epochs'} {', '.join(map(str, epochs))})"


def suspect(table: pd.DataFrame) -> pd.Series:
    """Which rows carry a sign that they cannot be trusted (``signs``): any flag but that of divergence."""
    return ~table["flags"].str.fullmatch(r"(diverged:\d+)?")

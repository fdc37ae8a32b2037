"""Summaries of tidy metrics: means over seeds, trainings, attacks, divergence and flags."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd
from scipy import stats

from gradreg.planning import numerals
from gradreg.planning.experiment import GIVEN

LEVEL = 0.95
NETWORK = ["model", "objective", "p", "eps"]
ANY_NORM = "any norm"  # of those attacked: an image is an error where one of the attacks succeeds
Parts = list[tuple[list[str], pd.DataFrame]]


@dataclass(frozen=True)
class Training:
    """How a network was trained: p is "none" for plain; objective is empty where a table has only one.

    Plain sorts first, then by the place of the objective in the table, and by p. A network that was trained elsewhere
    has p = "given" and its name as objective; such ones sort last.
    """

    p: str
    objective: str = ""
    place: int = field(default=0, compare=False, repr=False)

    @property
    def plain(self) -> bool:
        """Whether this is the baseline."""
        return self.p == "none"

    @property
    def given(self) -> bool:
        """Whether this is a network from a file."""
        return self.p == GIVEN

    def name(self, infinity: str = "inf") -> str:
        """Short enough for a legend: "plain", "p = 2" or "perturb, p = 2"; of a network from a file, its name."""
        if self.given:
            return self.objective
        p = f"p = {self.p.replace('inf', infinity)}"
        return "plain" if self.plain else ", ".join(filter(None, [self.objective, p]))

    def __str__(self) -> str:
        return self.name()

    def __lt__(self, other: "Training") -> bool:
        return self._order() < other._order()

    def _order(self) -> tuple[bool, bool, int, str, bool, float, str]:
        p = 0 if self.plain or self.given else numerals.parse(self.p)
        return self.given, not self.plain, self.place, self.objective, numerals.is_joined(self.p), p, self.p


PLAIN = Training("none")


def regularised(table: pd.DataFrame) -> pd.Series:
    """Which rows belong to networks trained here with an objective in a norm: neither plain nor from a file."""
    return ~table.p.isin([PLAIN.p, GIVEN])


def half_width(values: Sequence[float]) -> float:
    """Half the width of Student's 95 % interval for the mean; nan for fewer than two values."""
    if len(values) < 2:
        return math.nan
    quantile = stats.t.ppf((1 + LEVEL) / 2, len(values) - 1)
    return float(quantile * stats.sem(values))


def over_seeds(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean of ``value``, half-width of its interval and number of seeds per combination of ``by``, in table order."""
    grouped = table.groupby(list(by), sort=False).value
    return grouped.agg(mean="mean", half=lambda v: half_width(v.tolist()), seeds="count").reset_index()


def with_training(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column ``training``, which has the objective only where the table has several."""
    objectives = list(dict.fromkeys(table[regularised(table)].objective))
    places = {name: place for place, name in enumerate(objectives)} if len(objectives) > 1 else {}
    networks = zip(table.objective, table.p, strict=True)
    trainings = [
        PLAIN if p == PLAIN.p else Training(p, name if places or p == GIVEN else "", places.get(name, 0))
        for name, p in networks
    ]
    return table.assign(training=pd.Series(trainings, table.index, dtype=object))


def by_objective(table: pd.DataFrame) -> Parts:
    """A part of the table per model and objective, with the baseline and a column ``training``, and its title.

    Networks from files are in every part of their model.

    The title has the model, and the objective where the table has several.
    """
    parts: Parts = []
    several = table[regularised(table)].objective.nunique() > 1
    for model, networks in table.groupby("model", sort=False):
        for objective in dict.fromkeys(networks[regularised(networks)].objective):
            part = networks[~regularised(networks) | (networks.objective == objective)]
            parts.append(([str(model), objective] if several else [str(model)], with_training(part)))
    return parts


def attacks(table: pd.DataFrame) -> list[str]:
    """The attacks of a table except the one-step attack: the multi-step attack, then others by name."""
    attacked = table[(table.metric == "error") & (table.attack_p != "")]
    return ["multi_step", *sorted(set(attacked.attack) - {"one_step", "multi_step"})]


def diverged(table: pd.DataFrame) -> pd.Series:
    """Which rows belong to a network that diverged."""
    return table["flags"].str.contains(r"(?:^|\+)diverged:\d")


def divergence(table: pd.DataFrame) -> str:
    """How many networks of a table diverged, and in which epochs: "2 (epochs 3, 7)"; empty if none did."""
    lost = table[diverged(table)].drop_duplicates([*NETWORK, "n_train", "seed"])
    if lost.empty:
        return ""
    epochs = sorted(set(lost["flags"].str.extract(r"diverged:(\d+)", expand=False).astype(int)))
    return f"{len(lost)} ({'epoch' if len(epochs) == 1 else 'epochs'} {', '.join(map(str, epochs))})"


def suspect(table: pd.DataFrame) -> pd.Series:
    """Which rows have a masking flag: any flag except that of divergence."""
    return ~table["flags"].str.fullmatch(r"(diverged:\d+)?")

"""What an experiment is made of: which networks a config asks for, how each is trained, where its files live.

Everything here is names and numbers; torch is not imported, since the workflow reads this at every start.
"""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from gradreg import registry
from gradreg.planning.checks import (
    final_sizes,
    halves,
    has_halves,
    selection_size,
    strengths,
    strong_norms,
    strong_seeds,
    test_size,
    training,
    transfer,
)
from gradreg.planning.config import ConfigError, resolve
from gradreg.planning.numerals import middle, parse, to_path
from gradreg.planning.smoke import smoke
from gradreg.registry.datasets import DATASETS

BASELINE = "baseline"
NO_P, NO_EPS = "none", "0"
HALF_SEEDS = 2  # of the networks on halves of the training data: whatever differs can be told from what seeds do
RUN_PATTERN = "{dataset}-{n_train}/{model}/{objective}/p-{p}/eps-{eps}"
GROUP_PATTERN = "{dataset}-{n_train}/{model}/{objective}/p-{p}"


@dataclass(frozen=True)
class Group:
    """Settings that compete: one objective at one p over its eps, or the baseline over its settings.

    n_train is that of the final runs.
    """

    dataset: str
    n_train: int
    model: str
    objective: str
    p: str

    @property
    def path(self) -> str:
        """The folder of the choice, below ``choices``."""
        return GROUP_PATTERN.format(**self.__dict__ | {"p": to_path(self.p)})


@dataclass(frozen=True)
class Run:
    """A cell without its seed. p and eps are labels, as the config spells them.

    Trained on n_train images, after the first ``skip`` of the training set.
    """

    dataset: str
    n_train: int
    model: str
    objective: str
    p: str
    eps: str
    skip: int = 0

    @property
    def images(self) -> str:
        """The name of its training images: their number, and from which one on where that is not the first."""
        return f"{self.n_train}from{self.skip}" if self.skip else str(self.n_train)

    @property
    def path(self) -> str:
        """The folder of the run, below ``cells``."""
        names = {"n_train": self.images, "p": to_path(self.p), "eps": to_path(self.eps)}
        return RUN_PATTERN.format(**self.__dict__ | names)

    def cells(self, seeds: int) -> list[str]:
        """The folders of the cells of the first ``seeds`` seeds, below ``cells``."""
        return [f"{self.path}/seed-{seed}" for seed in range(seeds)]


@dataclass(frozen=True)
class Plan:
    """How the cells of a run are trained and read."""

    hp: dict[str, Any]
    attack: dict[str, Any]
    part: str
    seeds: int
    strong: dict[str, Any] = field(default_factory=dict)

    @property
    def n_read(self) -> int:
        """The images that a network is measured on: held-out ones, or those of the test set."""
        return int(self.hp["n_validation"] or self.attack["n_test"])


class Experiment:
    """The runs and the choices that a config means. Raises ConfigError for a config with mistakes."""

    def __init__(self, config: Mapping[str, Any], files: Sequence[str] = ()) -> None:
        self.config = resolve(config, files)
        if self.config["scale"] == "smoke":
            self.config = smoke(self.config)
        self.name: str = self.config["experiment"]
        self.root = PurePosixPath("results") / self.name
        self.selection: dict[Run, Plan] = {}
        self.final: dict[Run, Plan] = {}
        self.halves: dict[Run, Plan] = {}
        self.groups: dict[Group, list[Run]] = {}
        self.transfers: dict[tuple[str, int], dict[str, Any]] = {}
        self.galleries: dict[tuple[str, int, str], dict[str, Any]] = {}
        for entry in self.config["sweep"]:
            self._add(entry)

    @property
    def studies(self) -> list[tuple[str, int]]:
        """What is shown together: the data sets, at each number of training images of the final runs."""
        return sorted({(group.dataset, group.n_train) for group in self.groups})

    def figures(self, dataset: str, n_train: int) -> list[str]:
        """The figures of a study, those of one network each apart (``galleries``)."""
        groups = [group for group in self.groups if (group.dataset, group.n_train) == (dataset, n_train)]
        plans = [plan for run, plan in self.final.items() if (run.dataset, run.n_train) == (dataset, n_train)]
        shown = ["validation_error", "robust_error", "norm_matrix", "attack_strength", "learning_curves"]
        shown += ["gradient_norms", "linearisation", "error_and_gradient", "alignment"]
        if len({group.objective for group in groups if group.p != NO_P}) > 1:
            shown.append("objectives")
        if any(levels for plan in plans for levels in plan.attack["noise"].values()):
            shown.append("noise")
        if any(plan.attack["smooth"] for plan in plans):
            shown.append("estimates")
        if any(registry.moves(plan.hp["objective"]["kind"]) for plan in plans):
            shown.append("probe")
        if (dataset, n_train) in self.transfers:
            shown += ["transfer", "transfer_matrix"] if min(plan.seeds for plan in plans) > 1 else ["transfer"]
        return shown

    @property
    def settings(self) -> dict[str, Any]:
        """The config without what only says where and how jobs run."""
        return {key: self.config[key] for key in ("experiment", "scale", "sweep")}

    def selection_size(self, dataset: str, n_train: int, model: str) -> int:
        """The n_train of the selection runs behind the final runs of a network."""
        group = next(g for g in self.groups if (g.dataset, g.n_train, g.model) == (dataset, n_train, model))
        return self.groups[group][0].n_train

    def plan(self, run: Run) -> Plan:
        """How a run is trained and read. Raises KeyError for a run that the config does not mean."""
        return (self.selection | self.halves | self.final)[run]

    def final_run(self, group: Group, chosen: Mapping[str, str]) -> Run:
        """The run on all training data for what ``choice.json`` says of a group."""
        return Run(group.dataset, group.n_train, group.model, chosen["objective"], group.p, chosen["eps"])

    def half_runs(self, group: Group, chosen: Mapping[str, str]) -> list[Run]:
        """The runs on the two halves of the training data for what ``choice.json`` says of a group."""
        whole = self.final_run(group, chosen)
        return [replace(whole, n_train=half, skip=skip) for half, skip in halves(group.n_train)]

    def blocks(self) -> Iterator[tuple[str, tuple[int, ...], list[str]]]:
        """The jobs that train: (data set, the seeds of one job, the images of the runs that have this block)."""
        found: dict[tuple[str, tuple[int, ...]], set[str]] = {}
        for run, plan in (self.selection | self.halves | self.final).items():
            for block in self._blocks_of(plan.seeds):
                found.setdefault((run.dataset, block), set()).add(run.images)
        for dataset, block in sorted(found):
            yield dataset, block, sorted(found[dataset, block])

    def strong_blocks(self) -> Iterator[tuple[str, str, tuple[int, ...], list[str]]]:
        """The jobs of strong attacks: (name, data set, the seeds of one job, the images of the runs that have it)."""
        found: dict[tuple[str, str, tuple[int, ...]], set[str]] = {}
        for run, plan in self.final.items():
            for name, own in plan.strong.items():
                for block in self._blocks_of(own["seeds"]):
                    found.setdefault((name, run.dataset, block), set()).add(run.images)
        for name, dataset, block in sorted(found):
            yield name, dataset, block, sorted(found[name, dataset, block])

    def _blocks_of(self, seeds: int) -> list[tuple[int, ...]]:
        """The seeds of each job, where there are so many in all."""
        size = self.config["seeds_per_job"]
        return [tuple(range(start, min(start + size, seeds))) for start in range(0, seeds, size)]

    def _add(self, entry: Mapping[str, Any]) -> None:
        attacked = entry["attack"]["eps"]
        shown = {p: entry["gallery"].get("eps", {}).get(p, middle(grid)) for p, grid in attacked.items()}
        gallery = {"classes": entry["gallery"]["classes"], "eps": shown, "steps": entry["attack"]["steps"]}
        if "transfer" in entry:
            self.transfers |= {(entry["dataset"], n_train): transfer(entry) for n_train in final_sizes(entry)}
        for n_train, model in itertools.product(final_sizes(entry), entry["models"]):
            if gallery["classes"]:
                self.galleries[entry["dataset"], n_train, model] = gallery
            for setting in _settings(entry):
                self._add_setting(entry, n_train, model, setting)

    def _add_setting(self, entry: Mapping[str, Any], n_train: int, model: str, setting: "_Setting") -> None:
        """The selection run and the final run of one setting of one model."""
        dataset, selection, own = entry["dataset"], entry["selection"], entry["models"][model]
        train = training(entry["train"], own.get("train", {}), setting.train)
        hp = {
            "data": DATASETS[dataset].fingerprint,
            "model": {key: value for key, value in own.items() if key != "train"},
            "objective": setting.details,
            "train": train,
            "skip": 0,
        }
        attack = {key: value for key, value in entry["attack"].items() if key != "strong"}
        attack["smooth"] = registry.lookup("models", own["kind"]).get("smooth", False)
        n_stop = None if train["patience"] is None else selection["n_validation"]
        chosen_at = selection_size(entry, n_train)
        sizes = {"n_train": n_train, "n_validation": None, "n_stop": n_stop}
        on_test = attack | {"n_test": test_size(entry)}
        strong = {name: _strong(entry, own) for name, own in entry["attack"]["strong"].items()}
        final = Plan(hp | sizes, on_test, "test", entry["seeds"], strong)
        sizes = {"n_train": chosen_at, "n_validation": selection["n_validation"], "n_stop": None}
        choosing = Plan(hp | sizes, attack, "validation", selection["seeds"])
        plans = [(self.selection, choosing), (self.final, final)]
        if has_halves(entry) and setting.group == BASELINE:
            for half, skip in halves(n_train):
                plans.append(
                    (self.halves, Plan(final.hp | {"n_train": half, "skip": skip}, on_test, "test", HALF_SEEDS))
                )
        for known, plan in plans:
            run = Run(dataset, plan.hp["n_train"], model, setting.objective, setting.p, setting.eps, plan.hp["skip"])
            if known.setdefault(run, plan) != plan:
                raise ConfigError(f"sweep: {run.path} is meant twice, with different settings")
            if known is self.selection:
                self.groups.setdefault(Group(dataset, n_train, model, setting.group, setting.p), []).append(run)


def _strong(entry: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A strong attack with its strengths and its number of seeds written out."""
    attack = entry["attack"]
    grids = {p: attack["eps"][p] for p in strong_norms(entry, own)}
    if not registry.lookup("attacks", own["attacks"][0]).get("minimum"):
        grids = {
            p: [own.get("eps", {}).get(p, middle(grid))] for p, grid in grids.items() if p in own.get("eps", grids)
        }
    return {
        "attacks": own["attacks"],
        "images": min(own["images"], test_size(entry)),
        "seeds": strong_seeds(entry, own),
        "eps": grids,
        **{key: attack[key] for key in ("batch_size", "steps")},
    }


@dataclass(frozen=True)
class _Setting:
    """One way to train a model: the name of its group's objective, its own labels, and what they stand for."""

    group: str
    objective: str
    p: str
    eps: str
    details: dict[str, Any]
    train: dict[str, Any]


def _settings(entry: Mapping[str, Any]) -> Iterator[_Setting]:
    """Every setting with which the models of an entry are trained, those that compete one after another."""
    for name, definition in sorted(entry["baseline"].items()):
        yield _Setting(BASELINE, name, NO_P, NO_EPS, {"kind": "plain", "space": "pixels"}, definition.get("train", {}))
    for name, definition in entry["objectives"].items():
        details = {key: value for key, value in definition.items() if key not in ("train", "eps")}
        for p, grid in strengths(entry, definition).items():
            at_p = details | {"p": p} | ({"h": details["h"][p]} if "h" in details else {})
            for eps in sorted(grid, key=parse):
                yield _Setting(name, name, p, eps, at_p | {"eps": eps}, definition.get("train", {}))


def as_json(value: Any) -> str:
    """The one text of a value, whatever the order of its keys: what a rule's parameters are compared by."""
    return json.dumps(value, sort_keys=True)

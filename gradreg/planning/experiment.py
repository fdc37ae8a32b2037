"""What an experiment is made of: which networks a config asks for, how each is trained, where its files are.

Everything here is names and numbers; torch is not imported, since the workflow reads this at every start.
"""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from gradreg import registry
from gradreg.planning import entries
from gradreg.planning.attacked import CLEAN, Criterion
from gradreg.planning.config import ConfigError, resolve
from gradreg.planning.entries import Entry
from gradreg.planning.numerals import by_number, members, middle, parse, to_path
from gradreg.planning.smoke import smoke
from gradreg.planning.specs import (
    AttackSpec,
    GallerySpec,
    ModelSpec,
    ObjectiveSpec,
    StrongAttackSpec,
    TrainingSpec,
    TransferSpec,
    WatchSpec,
)
from gradreg.registry.datasets import DATASETS

BASELINE = "baseline"
NO_P, NO_EPS = "none", "0"
GIVEN = "given"  # in place of p, of networks that were trained elsewhere
PROGRAM = "program"  # the kind of networks that torch.export saved
HALF_SEEDS = 2  # of the networks on halves of the training data: enough to compare with what seeds do
GROUP_PATTERN = "{dataset}-{n_train}/{model}/{objective}/p-{p}"
RUN_PATTERN = GROUP_PATTERN + "/eps-{eps}"


@dataclass(frozen=True)
class Group:
    """Settings that compete: one objective at one p over its eps, or the baseline over its settings.

    n_train is that of the final runs. A network from a file is a group of its own, with its name as objective.
    """

    dataset: str
    n_train: int
    model: str
    objective: str
    p: str

    @property
    def path(self) -> str:
        """The folder of the choice, below ``groups``."""
        return GROUP_PATTERN.format(**self.__dict__ | {"p": to_path(self.p)})


@dataclass(frozen=True)
class Run:
    """A cell without its seed. p and eps are numerals, as the config spells them; the baseline's are NO_P and NO_EPS.

    Trained on n_train images, after the first ``skip`` of the training set. A network from a file has p = GIVEN, and
    the numbers of images of the runs that it is compared with.
    """

    dataset: str
    n_train: int
    model: str
    objective: str
    p: str
    eps: str
    skip: int = 0

    @property
    def given(self) -> bool:
        """Whether this is a network from a file."""
        return self.p == GIVEN

    @property
    def images(self) -> str:
        """The name of its training images: their number, and the number of those before them where there are any."""
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
    """How the cells of a run are trained and evaluated; strong: name -> (attack, number of seeds that get it)."""

    training: TrainingSpec
    attack: AttackSpec
    seeds: int
    strong: Mapping[str, tuple[StrongAttackSpec, int]] = field(default_factory=dict)

    @property
    def n_evaluated(self) -> int:
        """The images that a network is evaluated on: held-out ones, or those of the test set."""
        return self.training.n_validation or self.attack.n_test or 0


class Experiment:
    """The runs and the choices that a config asks for. Raises ConfigError for a config with mistakes."""

    def __init__(self, config: Mapping[str, Any], files: Sequence[str] = (), overrides: Collection[str] = ()) -> None:
        self.config = resolve(config, files, overrides)
        if self.config["scale"] == "smoke":
            self.config = smoke(self.config)
        self.name: str = self.config["experiment"]
        self.root = PurePosixPath("results") / self.name
        self.selection: dict[Run, Plan] = {}
        self.final: dict[Run, Plan] = {}
        self.halves: dict[Run, Plan] = {}
        self.groups: dict[Group, list[Run]] = {}
        self.criteria: dict[tuple[str, int], Criterion] = {}
        self.transfers: dict[tuple[str, int], TransferSpec] = {}
        self.galleries: dict[tuple[str, int, str], GallerySpec] = {}
        for entry in self.config["sweep"]:
            self._add(entry)

    @property
    def studies(self) -> list[tuple[str, int]]:
        """What is shown together: the data sets, at each number of training images of the final runs."""
        return sorted({(group.dataset, group.n_train) for group in self.groups})

    @property
    def in_several_sizes(self) -> list[str]:
        """The data sets with several numbers of training images of the final runs."""
        datasets = [dataset for dataset, _ in self.studies]
        return sorted({dataset for dataset in datasets if datasets.count(dataset) > 1})

    @property
    def settings(self) -> dict[str, Any]:
        """The config without what only says where and how jobs run."""
        return {key: self.config[key] for key in ("experiment", "scale", "figure_width", "sweep")}

    def missing(self) -> list[str]:
        """The files of networks that are not there: needed to run an experiment, not to read a finished one."""
        files = {plan.training.file for plan in self.final.values()}
        return sorted(file for file in files if file is not None and not Path(file).is_file())

    def plan(self, run: Run) -> Plan:
        """How a run is trained and evaluated. Raises KeyError for a run that the config does not ask for."""
        for plans in (self.selection, self.halves, self.final):
            if run in plans:
                return plans[run]
        raise KeyError(run)

    def final_run(self, group: Group, chosen: Mapping[str, str]) -> Run:
        """The run on all training data for the content of a group's ``choice.json``."""
        return Run(group.dataset, group.n_train, group.model, chosen["objective"], group.p, chosen["eps"])

    def half_runs(self, group: Group, chosen: Mapping[str, str]) -> list[Run]:
        """The runs on the two halves of the training data, where there are any, for a group's ``choice.json``."""
        whole = self.final_run(group, chosen)
        runs = [replace(whole, n_train=half, skip=skip) for half, skip in entries.halves(group.n_train)]
        return [run for run in runs if run in self.halves]

    def blocks(self, *, given: bool = False) -> Iterator[tuple[str, tuple[int, ...], list[str]]]:
        """The jobs that train: (data set, the seeds of one job, the images of the runs that have this block).

        given: those of networks from files, which are only evaluated.
        """
        sizes: dict[tuple[str, tuple[int, ...]], set[str]] = {}
        for run, plan in (self.selection | self.halves | self.final).items():
            for block in self._blocks_of(plan.seeds) if run.given == given else ():
                sizes.setdefault((run.dataset, block), set()).add(run.images)
        for dataset, block in sorted(sizes):
            yield dataset, block, sorted(sizes[dataset, block])

    def strong_blocks(self, *, given: bool = False) -> Iterator[tuple[str, str, tuple[int, ...], list[str]]]:
        """The jobs of strong attacks: (name, data set, the seeds of one job, the images of the runs that have it).

        given: as for ``blocks``.
        """
        sizes: dict[tuple[str, str, tuple[int, ...]], set[str]] = {}
        for run, plan in self.final.items():
            for name, (_, seeds) in plan.strong.items() if run.given == given else ():
                for block in self._blocks_of(seeds):
                    sizes.setdefault((name, run.dataset, block), set()).add(run.images)
        for name, dataset, block in sorted(sizes):
            yield name, dataset, block, sorted(sizes[name, dataset, block])

    def _blocks_of(self, seeds: int) -> list[tuple[int, ...]]:
        """The seeds of each job, of ``seeds`` seeds in all."""
        size = self.config["seeds_per_job"]
        return [tuple(range(start, min(start + size, seeds))) for start in range(0, seeds, size)]

    def _add(self, entry: Entry) -> None:
        attack, gallery = entry["attack"], entry["gallery"]
        shown = {p: gallery.get("eps", {}).get(p, middle(grid)) for p, grid in attack["eps"].items()}
        if "transfer" in entry:
            self.transfers |= {
                (entry["dataset"], n_train): entries.transfer(entry) for n_train in entries.final_sizes(entry)
            }
        for n_train in entries.final_sizes(entry):
            self.criteria[entry["dataset"], n_train] = Criterion.of(entry["selection"]["by"])
        for n_train, model in itertools.product(entries.final_sizes(entry), entry["models"]):
            if gallery["classes"]:
                key = (entry["dataset"], n_train, model)
                self.galleries[key] = GallerySpec(gallery["classes"], attack["steps"], shown)
            for setting in _settings(entry, model):
                self._add_setting(entry, n_train, model, setting)

    def _add_setting(self, entry: Entry, n_train: int, model: str, setting: "_Setting") -> None:
        """The selection run and the final runs of one setting of one model."""
        dataset, selection, block = entry["dataset"], entry["selection"], entry["models"][model]
        file = setting.file
        train = entries.recipe() if file else entries.recipe(entry["train"], block.get("train", {}), setting.train)
        model_spec = ModelSpec.of({key: value for key, value in block.items() if key != "train"})
        if file and entries.is_program(file):
            model_spec = ModelSpec(PROGRAM)
        choosing = TrainingSpec(
            model_spec,
            setting.spec,
            train,
            n_train=entries.selection_size(entry, n_train),
            n_validation=selection["n_validation"],
            data=DATASETS[dataset].fingerprint,
            file=file,
        )
        attack = _attack(entry, model_spec.kind)
        n_stop = None
        if train.patience is not None:
            n_stop, choosing = selection["n_validation"], replace(choosing, watch=_watch(selection["by"], attack))
        final = replace(choosing, n_train=n_train, n_validation=None, n_stop=n_stop)
        on_test = replace(attack, n_test=entries.test_size(entry))
        seeds, selection_seeds = (1, 1) if file else (entry["seeds"], selection["seeds"])
        attacks = {
            name: (entries.strong(entry, settings), min(entries.strong_seeds(entry, settings), seeds))
            for name, settings in entry["attack"]["strong"].items()
        }
        plans = [
            (self.selection, Plan(choosing, attack, selection_seeds)),
            (self.final, Plan(final, on_test, seeds, attacks)),
        ]
        if entries.has_halves(entry) and setting.group == BASELINE:
            for half, skip in entries.halves(n_train):
                plans.append((self.halves, Plan(replace(final, n_train=half, skip=skip), on_test, HALF_SEEDS)))
        for known, plan in plans:
            training = plan.training
            run = Run(dataset, training.n_train, model, setting.objective, setting.p, setting.eps, training.skip)
            if known.setdefault(run, plan) != plan:
                raise ConfigError(f"sweep: {run.path} is asked for twice, with different settings")
            if known is self.selection:
                self.groups.setdefault(Group(dataset, n_train, model, setting.group, setting.p), []).append(run)


def _attack(entry: Entry, model_kind: str) -> AttackSpec:
    """What is measured on every network of a kind."""
    block = {key: value for key, value in entry["attack"].items() if key != "strong"}
    return AttackSpec(**block, smooth=registry.lookup("models", model_kind).get("smooth", False))


def _watch(written: Any, attack: AttackSpec) -> WatchSpec | None:
    """What a patience watches: the error that settings compete by; None for that without attack."""
    by = Criterion.of(written)
    if by == CLEAN:
        return None
    eps = dict(zip(members(by.p), members(by.eps), strict=True))
    return WatchSpec(attack.blocks[by.attack], attack.images, eps)


@dataclass(frozen=True)
class _Setting:
    """One way to train a model: the objective of its group, its own names and numerals, and the spec behind them.

    Or a file, instead of training.
    """

    group: str
    objective: str
    p: str
    eps: str
    spec: ObjectiveSpec
    train: Mapping[str, Any]
    file: str | None = None


def _settings(entry: Entry, model: str) -> Iterator[_Setting]:
    """Every setting with which a model of an entry is trained, those that compete one after another; then its files."""
    for name, block in sorted(entry["baseline"].items()):
        yield _Setting(BASELINE, name, NO_P, NO_EPS, ObjectiveSpec("plain"), block.get("train", {}))
    for name, block in entry["objectives"].items():
        numbers = {key: value for key, value in block.items() if key not in ("train", "eps", "h")}
        several = registry.several_norms(block["kind"])
        for p, grid in entries.strengths(entry, block).items():
            h = {"h": block["h"][p].value} if "h" in block else {}
            for eps in by_number(grid):
                norm = {key: _each(text) if several else parse(text) for key, text in (("p", p), ("eps", eps))}
                spec = ObjectiveSpec.of(numbers | h | norm)
                yield _Setting(name, name, p, eps, spec, block.get("train", {}))
    for name, block in entry["networks"].items():
        if block["model"] == model:
            yield _Setting(name, name, GIVEN, NO_EPS, ObjectiveSpec("plain"), {}, block["file"])


def _each(numeral: str) -> list[float]:
    """The numbers of joined numerals, or the one of a numeral."""
    return [member.value for member in members(numeral)]

"""What the rules of the workflow ask for, by wildcards: runs, files, parameters, code, a GPU.

Wildcards are those of Snakemake, or any mapping with the same names.
"""

import functools
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gradreg import registry
from gradreg.planning.code_inputs import closure
from gradreg.planning.experiment import RUN_PATTERN, Experiment, Group, Plan, Run
from gradreg.planning.numerals import from_path, to_path
from gradreg.planning.specs import to_json
from gradreg.storage.files import sha256

Wildcards = Mapping[str, str]
WEIGHTS, RECORD = "model.safetensors", "train.json"
TRAINED = [WEIGHTS, RECORD, "history.csv"]
WHITENING = "results/data/whitening/{dataset}-{n_train}.safetensors"
SCRIPTS = {
    "take": "workflow/scripts/take_network.py",
    "train": "workflow/scripts/train.py",
    "evaluate": "workflow/scripts/evaluate.py",
    "strong": "workflow/scripts/evaluate.py",
    "gallery": "workflow/scripts/make_gallery.py",
    "transfer": "workflow/scripts/transfer.py",
}
# What results depend on of a registration, beside the settings, which are in the spec.
REGISTERED = {"models": ("function",), "objectives": ("function", "draw", "eps")}
REGISTERED["attacks"] = ("function", "norms", "minimum", "blind", "settings")


class Jobs:
    """The jobs of an experiment. chosen(group): the content of a group's ``choice.json``, once it is there."""

    def __init__(self, experiment: Experiment, chosen: Callable[[Group], Mapping[str, str]]) -> None:
        self.experiment, self.chosen = experiment, chosen
        self.root = str(experiment.root)

    # Runs

    def run(self, wildcards: Wildcards) -> Run:
        """The run that wildcards name, or the one that the choice of the group they name leads to."""
        if wildcards.get("eps") is None:
            group = self.group(wildcards)
            return self.experiment.final_run(group, self.chosen(group))
        n_train, _, skip = wildcards["n_train"].partition("from")
        names = {key: wildcards[key] for key in ("dataset", "model", "objective")}
        numerals = {key: from_path(wildcards[key]) for key in ("p", "eps")}
        return Run(**names, **numerals, n_train=int(n_train), skip=int(skip or 0))

    def group(self, wildcards: Wildcards) -> Group:
        """The group that wildcards name."""
        names = {key: wildcards[key] for key in ("dataset", "model", "objective")}
        return Group(**names, n_train=int(wildcards["n_train"]), p=from_path(wildcards["p"]))

    def plan(self, wildcards: Wildcards) -> Plan:
        """How the run that wildcards name is trained and evaluated."""
        return self.experiment.plan(self.run(wildcards))

    def _transferred(self, wildcards: Wildcards) -> Iterator[tuple[Run, str]]:
        """(run, folder of a cell): the first two seeds of the chosen runs of a study, and of plain ones on halves."""
        study = (wildcards["dataset"], int(wildcards["n_train"]))
        for group in sorted(self.experiment.groups, key=lambda group: group.path):
            if (group.dataset, group.n_train) == study:
                chosen = self.chosen(group)
                for run in (self.experiment.final_run(group, chosen), *self.experiment.half_runs(group, chosen)):
                    for cell in run.cells(min(2, self.experiment.plan(run).seeds)):
                        yield run, f"{self.root}/cells/{cell}"

    # Files

    def block_files(self, seeds: Iterable[int], names: Sequence[str]) -> list[str]:
        """Patterns of files of the cells of a block of seeds."""
        return [f"{self.root}/cells/{RUN_PATTERN}/seed-{seed}/{name}" for seed in seeds for name in names]

    def cell_files(self, runs: Iterable[Run], name: str) -> list[str]:
        """One file of every cell of some runs."""
        plans = [(run, self.experiment.plan(run).seeds) for run in runs]
        return [f"{self.root}/cells/{cell}/{name}" for run, seeds in plans for cell in run.cells(seeds)]

    def candidates(self, wildcards: Wildcards, name: str = "metrics.csv") -> list[str]:
        """One file of every selection cell of a group."""
        return self.cell_files(self.experiment.groups[self.group(wildcards)], name)

    def final_files(self, wildcards: Wildcards, suffix: str) -> list[str]:
        """Measurements (csv) or outcomes (npz) of the final cells of a group, with those of strong attacks."""
        run = self.run(wildcards)
        files = self.cell_files([run], {"csv": "metrics.csv", "npz": "outcomes.npz"}[suffix])
        for name, (_, seeds) in self.experiment.plan(run).strong.items():
            files += [f"{self.root}/cells/{cell}/strong-{name}.{suffix}" for cell in run.cells(seeds)]
        return files

    # Every file of a finished experiment but tables, figures and report. All are targets: Snakemake does not look for
    # files that a finished report would need. Those before the choices are listed without waiting for them, so that a
    # choice whose inputs are gone is made again before anything is planned by it.

    def before_choices(self) -> list[str]:
        """The files that do not depend on what is chosen."""
        experiment = self.experiment
        files = [f"{self.root}/config.json"]
        files += [f"{self.root}/metrics/{name}.csv" for name in ("validation", "history", "test")]
        files += [f"{self.root}/metrics/transfer-{dataset}-{n_train}.csv" for dataset, n_train in experiment.transfers]
        for name in (*TRAINED, "metrics.csv", "outcomes.npz"):
            files += self.cell_files(experiment.selection, name)
        for group in experiment.groups:
            names = ["choice.json", "validation.csv", "history.csv", "test.csv", "outcomes.npz"]
            names += ["gallery.npz"] if (group.dataset, group.n_train, group.model) in experiment.galleries else []
            files += [f"{self.root}/groups/{group.path}/{name}" for name in names]
        return files

    def after_choices(self, wildcards: Wildcards) -> list[str]:
        """The files of the cells that are chosen; waits for the choices."""
        files = []
        for group in self.experiment.groups:
            wanted, chosen = group_wildcards(group), self.chosen(group)
            files += [*self.final_files(wanted, "csv"), *self.final_files(wanted, "npz")]
            runs = [self.experiment.final_run(group, chosen), *self.experiment.half_runs(group, chosen)]
            files += [file for name in TRAINED for file in self.cell_files(runs, name)]
        return files

    def group_tables(self, wildcards: Wildcards) -> list[str]:
        """The tables of the cells of a group that are joined."""
        if wildcards["table"] == "test":
            return self.final_files(wildcards, "csv")
        return self.candidates(wildcards, {"validation": "metrics.csv", "history": "history.csv"}[wildcards["table"]])

    def first_cell(self, wildcards: Wildcards) -> list[str]:
        """The record and the network of the first seed of a group's chosen run."""
        folder = f"{self.root}/cells/{self.run(wildcards).path}/seed-0"
        return [f"{folder}/{name}" for name in (RECORD, WEIGHTS)]

    def given_file(self, wildcards: Wildcards) -> str:
        """The file of a network that was trained elsewhere."""
        return str(self.plan(wildcards).training.file)

    def whitening(self, wildcards: Wildcards) -> list[str]:
        """The whitening of a run's training images, where its network has one."""
        return self._whitening(self.run(wildcards))

    def _whitening(self, run: Run) -> list[str]:
        whitened = self.experiment.plan(run).training.model.input == "whitened"
        return [WHITENING.format(dataset=run.dataset, n_train=run.images)] if whitened else []

    def transfer_files(self, wildcards: Wildcards) -> dict[str, list[str]]:
        """The networks of a transfer with their records, and what whitens their images."""
        cells = list(self._transferred(wildcards))
        files = [f"{folder}/{name}" for _, folder in cells for name in (WEIGHTS, RECORD)]
        return {"cells": files, "whitenings": sorted({file for run, _ in cells for file in self._whitening(run)})}

    def transfer_cells(self, wildcards: Wildcards) -> list[str]:
        """The networks of a transfer, as JSON, one text each: folder, number of images, file of the whitening."""
        cells = [
            {"folder": folder, "images": run.images, "whitening": next(iter(self._whitening(run)), None)}
            for run, folder in self._transferred(wildcards)
        ]
        return [json.dumps(cell, sort_keys=True) for cell in cells]

    def study_files(self, study: tuple[str, int], name: str, models: Sequence[str] | None = None) -> list[str]:
        """One file of every group of a study, or of the groups of some models."""
        groups = [group for group in self.experiment.groups if (group.dataset, group.n_train) == study]
        return [
            f"{self.root}/groups/{group.path}/{name}" for group in groups if models is None or group.model in models
        ]

    # Parameters, one text each, since Snakemake compares them as texts; and code

    def settings(self, stage: str, name: str = "") -> Callable[[Wildcards], str]:
        """All that a job's results depend on beside its inputs, as JSON, with the registrations behind its kinds.

        stage: one of SCRIPTS; name: of a strong attack. The number of seeds is not among it, nor the size of a block.
        """

        def of_job(wildcards: Wildcards) -> str:
            registered = [
                {"kind": kind} | {key: registry.lookup(section, kind).get(key) for key in REGISTERED[section]}
                for section, kind in self._kinds(stage, wildcards, name)
            ]
            return to_json(self._settings(stage, wildcards, name) | {"registered": registered})

        return of_job

    def code(self, stage: str, name: str = "") -> Callable[[Wildcards], list[str]]:
        """The files of code that a job depends on: of kinds, those of its own model, objective and attacks only."""

        def of_job(wildcards: Wildcards) -> list[str]:
            modules = {registry.module(*kind) for kind in self._kinds(stage, wildcards, name)}
            return closure(SCRIPTS[stage], *sorted(modules))

        return of_job

    def _settings(self, stage: str, wildcards: Wildcards, name: str) -> dict[str, Any]:
        study = (wildcards["dataset"], wildcards["n_train"])
        if stage == "gallery":
            return {"gallery": self.experiment.galleries[study[0], int(study[1]), wildcards["model"]]}
        if stage == "transfer":
            return {"transfer": self.experiment.transfers[study[0], int(study[1])]}
        run, plan = self.run(wildcards), self.plan(wildcards)
        file = {"sha256": digest(str(plan.training.file))} if stage == "take" else {}
        if stage in ("take", "train"):
            return file | {
                "run": {key: value for key, value in vars(run).items() if key != "skip"},
                "training": plan.training,
            }
        return {"attack": plan.strong[name][0] if stage == "strong" else plan.attack}

    def _kinds(self, stage: str, wildcards: Wildcards, name: str) -> list[tuple[str, str]]:
        """The registered kinds that a job uses: (section, kind)."""
        if stage == "transfer":
            study = (wildcards["dataset"], int(wildcards["n_train"]))
            plans = [plan for run, plan in self.experiment.final.items() if (run.dataset, run.n_train) == study]
            return sorted({("models", plan.training.model.kind) for plan in plans})
        plan = self.plan(wildcards)
        attacks = {"evaluate": [other["kind"] for other in plan.attack.others.values()]}
        attacks["strong"] = list(plan.strong[name][0].attacks) if name else []
        attacks["train"] = [plan.training.watch.attack["kind"]] if plan.training.watch else []
        objectives = [("objectives", plan.training.objective.kind)] if stage == "train" else []
        model = ("models", plan.training.model.kind)
        return [model, *objectives, *(("attacks", kind) for kind in attacks.get(stage, []))]

    def run_names(self, wildcards: Wildcards) -> str:
        """The names of a run, as JSON."""
        return json.dumps(vars(self.run(wildcards)), sort_keys=True)

    def criterion(self, wildcards: Wildcards) -> str:
        """What the settings of a group compete by, as JSON."""
        group = self.group(wildcards)
        return to_json(vars(self.experiment.criteria[group.dataset, group.n_train]))

    def candidate_settings(self, wildcards: Wildcards) -> list[str]:
        """The settings that compete, in the order that breaks ties, with the files that hold their errors, as JSON.

        One text each, as one argument of a command may not be longer than 128 kB.
        """
        runs = self.experiment.groups[self.group(wildcards)]
        settings = [
            {"objective": run.objective, "eps": run.eps, "metrics": self.cell_files([run], "metrics.csv")}
            for run in runs
        ]
        return [json.dumps(setting, sort_keys=True) for setting in settings]


digest = functools.cache(sha256)  # a copy may have an older date than what was made of the file before it


def group_wildcards(group: Group) -> dict[str, str]:
    """The wildcards that name a group."""
    return vars(group) | {"n_train": str(group.n_train), "p": to_path(group.p)}


def folders(wildcards: Wildcards, output: Iterable[str]) -> list[str]:
    """The folders of a job's cells. Derived from output, so that the size of a block triggers nothing."""
    return sorted({os.path.dirname(file) for file in output}, key=lambda folder: int(folder.rsplit("-", 1)[1]))


def has_gpu() -> bool:
    """Whether this machine seems to have a usable NVIDIA GPU; asked without torch, which is slow to import."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and shutil.which("nvidia-smi") is not None and Path("/dev/nvidiactl").exists()

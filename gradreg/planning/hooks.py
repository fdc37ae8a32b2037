"""What happens before the first job of a run and after its last: how long it will take, what is trained afresh."""

import glob
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Set
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradreg.planning.experiment import Experiment, Plan
from gradreg.planning.jobs import TRAINED, WEIGHTS, Jobs
from gradreg.planning.specs import AttackSpec, StrongAttackSpec, TrainingSpec, to_json
from gradreg.storage import states
from gradreg.storage.files import remove


@dataclass
class Work:
    """Networks of equal cost: how many are to be trained and evaluated, and how many get each strong attack.

    n_evaluated: the number of images that each is evaluated on. strong: name -> (attack, number of networks). block:
    how many one job takes at most, one after another. final: whether they wait for a choice.
    """

    dataset: str
    training: TrainingSpec
    attack: AttackSpec
    n_evaluated: int
    train: int = 0
    evaluate: int = 0
    block: int = 1
    final: bool = False
    strong: dict[str, tuple[StrongAttackSpec, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Work":
        """From what ``to_json`` wrote."""
        training, attack = TrainingSpec.of(values["training"]), AttackSpec.of(values["attack"])
        strong = {name: (StrongAttackSpec.of(spec), count) for name, (spec, count) in values["strong"].items()}
        return cls(**{**values, "training": training, "attack": attack, "strong": strong})


def remaining_work(jobs: Jobs, planned: Iterable[Any]) -> list[Work]:
    """What the jobs of a DAG train and evaluate, with the final runs of choices that are still open."""
    experiment = jobs.experiment
    work: dict[Any, Work] = {}

    def of(run: Any) -> tuple[Work, Plan]:
        plan = experiment.plan(run)
        new = Work(run.dataset, plan.training, plan.attack, plan.n_evaluated, final=run not in experiment.selection)
        return work.setdefault(run, new), plan

    def attacked(item: Work, plan: Plan, name: str, count: int) -> None:
        spec, before = plan.strong[name][0], item.strong.get(name, (None, 0))[1]
        item.strong[name] = (spec, before + count)

    def final(group: Any) -> None:
        # Which setting will be chosen is not known; they cost alike.
        candidate = vars(experiment.groups[group][-1])
        run = experiment.final_run(group, candidate)
        item, plan = of(run)
        item.train += 0 if run.given else plan.seeds
        item.evaluate += plan.seeds
        item.block = max(item.block, min(plan.seeds, experiment.config["seeds_per_job"]))
        for name, (_, seeds) in plan.strong.items():
            attacked(item, plan, name, seeds)
        for of_half in experiment.half_runs(group, candidate):
            half, plan = of(of_half)
            half.train += plan.seeds
            half.block = max(half.block, min(plan.seeds, experiment.config["seeds_per_job"]))

    for job in planned:
        stage, outputs = job.rule.name.split("_")[0], [str(file) for file in job.output]
        if stage in ("train", "evaluate"):
            item = of(jobs.run(job.wildcards))[0]
            count = sum(file.endswith((WEIGHTS, "metrics.csv")) for file in outputs)
            item.train += count if stage == "train" else 0
            item.evaluate += count if stage == "evaluate" else 0
            item.block = max(item.block, count)
        elif stage == "strong":
            count = sum(file.endswith(".csv") for file in outputs)
            item, plan = of(jobs.run(job.wildcards))
            attacked(item, plan, job.params.name, count)
            item.block = max(item.block, count)
        elif stage == "choose":
            final(jobs.group(job.wildcards))
    return list(work.values())


def print_runtime(jobs: Jobs, workflow: Any, gpus: int) -> None:
    """Say before the first job how much is to be done and, on the CPUs of this machine, how long it will take."""
    planned = list(workflow.dag.needrun_jobs())
    work = remaining_work(jobs, planned)
    if workflow.touch or not work:
        return
    if gpus or not workflow.local_exec:
        trained, evaluated = sum(item.train for item in work), sum(item.evaluate for item in work)
        print(f"At most {trained} networks to train, {evaluated} to evaluate.", file=sys.stderr)
        return
    command = [sys.executable, f"{workflow.basedir}/workflow/scripts/estimate_runtime.py"]
    command += ["--jobs", str(len(planned)), "--parallel", str(workflow.cores)]
    environment = os.environ | {"PYTHONPATH": str(workflow.basedir)}
    print("Timing a few training steps of each kind ...", file=sys.stderr)
    done = subprocess.run(command, input=to_json(work), env=environment, stdout=subprocess.PIPE, text=True)
    print(done.stdout.strip() or "Runtime: not known, see above; the run goes on", file=sys.stderr)


def seconds_of_jobs(root: str, names: Set[str] | None = None) -> dict[str, float]:
    """The seconds of an experiment's jobs by their stage: of those on some runs or studies, or of all that ever ran."""
    seconds: dict[str, float] = {}
    for file in glob.glob(f"{root}/logs/seconds/**/*.tsv", recursive=True):
        stage, _, job = os.path.relpath(file, f"{root}/logs/seconds").removesuffix(".tsv").partition(os.sep)
        name = job.partition("/seeds-")[0]  # of the strong attack, behind that attack's name
        if names is not None and names.isdisjoint({name, name.partition("/")[2]}):
            continue
        with suppress(OSError, ValueError, IndexError), open(file, encoding="utf-8") as table:  # cut off, or damaged
            seconds[stage] = seconds.get(stage, 0) + float(table.read().splitlines()[1].split("\t")[0])
    return seconds


def print_share(root: str) -> None:
    """Say what share of the seconds of an experiment's jobs went into evaluation."""
    seconds = seconds_of_jobs(root)
    training, total = seconds.get("train", 0), sum(seconds.values())
    if total:
        parts = ", ".join(f"{stage} {part / total:.0%}" for stage, part in sorted(seconds.items()) if stage != "train")
        print(f"Evaluation took {1 - training / total:.0%} of {total:.0f} job seconds ({parts}).", file=sys.stderr)


def clear_forced(experiment: Experiment, asked: Any) -> None:
    """Remove the states of unfinished training that -F, -R or -f asks to be run again, of runs not yet planned as well.

    asked: the settings of the command line. Jobs that a kill cut off count as forced in Snakemake's DAG, but go on.
    """
    root = experiment.root
    names = set(asked.forcerun) | (set(asked.targets) if asked.forcetargets else set())
    forced = [
        (f"{dataset}-{size}", set(block))
        for dataset, block, sizes in experiment.blocks()
        for size in sizes
        if asked.forceall or f"train_{dataset}_seeds_{block[0]}_to_{block[-1]}" in names
    ]
    for file, run, seeds, outputs in _states(root):
        if any(run.split("/")[0] == images and seeds & block for images, block in forced) or names & outputs:
            remove(file)


def _states(root: str) -> Iterator[tuple[Path, str, set[int], set[str]]]:
    """The states of training: the file, the run, the seeds, and what their jobs write."""
    for file in sorted(Path(root, "resume").rglob(states.PATTERN)):
        run, seeds = file.parent.relative_to(Path(root, "resume")).as_posix(), states.seeds_of(file)
        yield file, run, seeds, {f"{root}/cells/{run}/seed-{seed}/{name}" for seed in seeds for name in TRAINED}


def clear_finished(root: str, asked: Any) -> None:
    """After a run that succeeded, remove the states of networks that are there, and folders that hold none.

    Where it had targets, what lies outside them may have been written, and not booked: those states stay.
    """
    for file, _, _, outputs in () if asked.targets else _states(root):
        if all(map(os.path.exists, outputs)):
            remove(file)
    for folder, _, _ in os.walk(f"{root}/resume", topdown=False):
        if not os.listdir(folder):
            os.rmdir(folder)

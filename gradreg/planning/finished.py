"""A finished experiment: whether it is what its config, code and data mean now, its results, with what they were made.

What earlier configs left in its folder is no part of it.
"""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from gradreg import registry
from gradreg.planning import hooks, machine, report
from gradreg.planning.code_inputs import PACKAGE
from gradreg.planning.experiment import Experiment, Group
from gradreg.planning.jobs import RECORD, Jobs
from gradreg.storage.files import read_json

FAST = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # extensions of processors that decide the speed


def check(experiment: Experiment) -> None:
    """Raise ValueError, with what to do, unless the results of an experiment are what it means now."""
    source = Path(experiment.root)
    snakefile = PACKAGE.parent / "Snakefile"
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--workflow-profile", "none"]
    command += ["--configfile", str(source / "config.json"), "--dry-run", "--cores", "1"]
    stale = f"{source} is not what its config, code and data mean now; give the command that made it again"
    try:
        command += ["--config", f"seeds_per_job={seeds_per_job(experiment)}"]
    except (FileNotFoundError, KeyError):  # a record that there is not, or a choice that is none any more
        raise ValueError(stale) from None
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"{source} cannot be planned: {(done.stderr.strip() or done.stdout.strip())[-300:]}")
    if "Nothing to be done" not in done.stdout + done.stderr:
        raise ValueError(stale)


def results(experiment: Experiment) -> list[Path]:
    """The measurements, choices, galleries, tables and figures of an experiment, without its reports."""
    root = experiment.root
    files = [PurePosixPath(file).relative_to(root) for file in Jobs(experiment, _chosen(experiment)).before_choices()]
    files = [file for file in files if file.parts[0] in ("metrics", "groups")]
    for study in [*experiment.studies, *((dataset, 0) for dataset in experiment.in_several_sizes)]:
        shown = [*report.contents(experiment, study), *report.beside(experiment, study)]
        files += map(PurePosixPath, shown)
    return [Path(root / file) for file in sorted(set(files))]


def _chosen(experiment: Experiment) -> Callable[[Group], Mapping[str, str]]:
    return lambda group: read_json(Path(experiment.root / "groups" / group.path / "choice.json"))


def _record_files(experiment: Experiment) -> list[str]:
    """The names of the records of its networks."""
    jobs = Jobs(experiment, _chosen(experiment))
    files = {*jobs.before_choices(), *jobs.after_choices({})}
    return sorted(file for file in files if file.endswith(f"/{RECORD}"))


def seeds_per_job(experiment: Experiment) -> int:
    """The size of the blocks in which an experiment was trained.

    config.json leaves it out, since results are the same. In other blocks, some outputs would be older than inputs of
    the same job.
    """
    return max(len(read_json(file)["seeds_of_block"]) for file in _record_files(experiment))


def made(experiment: Experiment) -> dict[str, Any]:
    """With what an experiment's networks were trained, on which data, and how many seconds its jobs took.

    The processor is that of the machine that asks. Of training, seconds before interruptions count as well.
    """
    files = _record_files(experiment)
    records = [read_json(file) for file in files]
    given = {record["file"]: record["sha256"] for record in records if record["status"] == "given"}
    records = [record for record in records if record["status"] != "given"]
    versions: dict[str, set[str]] = {}
    for record in records:
        for name, version in [*record["versions"].items(), ("device", record["device"])]:
            versions.setdefault("commit" if name == "gradreg" else name, set()).add(version)
    data = {group.dataset: registry.lookup("datasets", group.dataset)["sha256"] for group in experiment.groups}
    runs = {str(Path(file).relative_to(experiment.root / "cells").parents[1]) for file in files}
    transfers = {f"{dataset}-{n_train}" for dataset, n_train in experiment.transfers}
    seconds = hooks.seconds_of_jobs(str(experiment.root), runs | transfers)
    if records:
        seconds["train"] = sum(record["seconds_of_block"] / len(record["seeds_of_block"]) for record in records)
    name, extensions = machine.processor()
    return {
        **{key: sorted(values) for key, values in versions.items()},
        "processor": ", ".join([name, *(extension for extension in FAST if extension in extensions)]),
        "networks": len(records),
        "seconds of jobs": {stage: round(total) for stage, total in sorted(seconds.items())},
        "sha256 of data": data,
        **({"sha256 of networks from files": given} if given else {}),
    }

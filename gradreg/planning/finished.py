"""A finished experiment: whether it is what its config, code and data mean now, and with what it was made."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from gradreg import registry
from gradreg.planning import hooks, machine
from gradreg.planning.code_inputs import PACKAGE
from gradreg.planning.experiment import Experiment
from gradreg.planning.jobs import RECORD
from gradreg.storage.files import read_json

FAST = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # extensions of processors that decide the speed


def check(source: Path) -> None:
    """Raise ValueError, with what to do, unless the results of an experiment are what it means now."""
    snakefile = PACKAGE.parent / "Snakefile"
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--workflow-profile", "none"]
    command += ["--configfile", str(source / "config.json"), "--dry-run", "--cores", "1"]
    command += ["--config", f"seeds_per_job={seeds_per_job(source)}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"{source} cannot be planned: {(done.stderr.strip() or done.stdout.strip())[-300:]}")
    if "Nothing to be done" not in done.stdout + done.stderr:
        raise ValueError(
            f"{source} is not what its config, code and data mean now; give the command that made it again"
        )


def seeds_per_job(source: Path) -> int:
    """The size of the blocks in which an experiment was trained.

    config.json leaves it out, since results are the same. In other blocks, some outputs would be older than inputs of
    the same job.
    """
    cells = [read_json(file) for file in (source / "cells").rglob(RECORD)]
    return max(len(cell["seeds_of_block"]) for cell in cells)


def made(experiment: Experiment, source: Path) -> dict[str, Any]:
    """With what an experiment's networks were trained, on which data, and how many seconds its jobs took.

    The processor is that of the machine that asks.
    """
    records = [read_json(file) for file in sorted((source / "cells").rglob(RECORD))]
    given = {record["file"]: record["sha256"] for record in records if record["status"] == "given"}
    records = [record for record in records if record["status"] != "given"]
    versions: dict[str, set[str]] = {}
    for record in records:
        for name, version in [*record["versions"].items(), ("device", record["device"])]:
            versions.setdefault("commit" if name == "gradreg" else name, set()).add(version)
    data = {group.dataset: registry.lookup("datasets", group.dataset)["sha256"] for group in experiment.groups}
    name, extensions = machine.processor()
    return {
        **{key: sorted(values) for key, values in versions.items()},
        "processor": ", ".join([name, *(extension for extension in FAST if extension in extensions)]),
        "networks": len(records),
        "seconds of jobs": {stage: round(total) for stage, total in sorted(hooks.seconds_of_jobs(str(source)).items())},
        "sha256 of data": data,
        **({"sha256 of networks from files": given} if given else {}),
    }

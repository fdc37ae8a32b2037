"""What the workflow costs beside its networks: dry runs of large grids, and seconds per job of a small real one."""

import csv
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from bench.common import ROOT, command, shown, summary, table, timed

PARTS = ("Snakefile", "workflow", "gradreg", "profiles", "config.yaml")
SEEDS = 5


def config(cells: int) -> dict[str, Any]:
    """An experiment whose sweep has about so many networks, in blocks of SEEDS."""
    runs = max(1, cells // SEEDS)
    norms = [p / 2 for p in range(2, 12)][:runs]
    grid = {p: [i / 100 for i in range(1, runs // len(norms) + 1)] for p in norms}
    entry = {
        "dataset": "digits",
        "seeds": SEEDS,
        "selection": {"n_train": 900, "n_validation": 300, "seeds": SEEDS},
        "models": {"net": {"kind": "sigmoid_mlp", "units": [8]}},
        "eps": grid,
        "train": {"epochs": 1},
        "attack": {"eps": {2: [0.5]}, "images": 10, "steps": 1},
        "gallery": {"classes": []},
    }
    return {"experiment": "dag", "device": "cpu", "seeds_per_job": SEEDS, "sweep": [entry]}


def copy(folder: Path) -> None:
    """Copy what a run needs into a folder."""
    for part in PARTS:
        whole = shutil.copytree if (ROOT / part).is_dir() else shutil.copyfile
        whole(ROOT / part, folder / part)


def measure(rounds: int) -> dict[str, Any]:
    """Seconds of dry runs by number of networks; and of a run for real, what is no training."""
    found: dict[str, Any] = {"dry runs": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy(folder)
        for cells in (100, 1000, 3000):
            (folder / "dag.yaml").write_text(yaml.safe_dump(config(cells)), encoding="utf-8")
            seconds = [timed(lambda: _snakemake(folder, "--dry-run", "--quiet", "all")) for _ in range(rounds + 1)]
            found["dry runs"][cells] = summary(seconds[1:])  # the first compiles what it imports
        rows = [[cells, shown(own)] for cells, own in found["dry runs"].items()]
        print(f"\nDry runs:\n{table(['networks', 'seconds'], rows)}", flush=True)
        (folder / "dag.yaml").write_text(yaml.safe_dump(config(10)), encoding="utf-8")
        found |= _for_real(folder)
    return found


def _for_real(folder: Path) -> dict[str, Any]:
    """A run of small jobs on all cores: the time that is in none of them, and what each takes beside its loop."""
    cores = os.cpu_count() or 1
    whole = timed(lambda: _snakemake(folder, "--quiet", "all"))
    within, starts, jobs = 0.0, [], 0
    for file in (folder / "results/dag/logs/seconds").rglob("*.tsv"):
        with file.open(encoding="utf-8") as lines:
            within += float(next(csv.DictReader(lines, delimiter="\t"))["s"])
        jobs += 1
    for log in (folder / "results/dag/logs/train").rglob("*.log"):
        last = [line for line in log.read_text(encoding="utf-8").splitlines() if " epoch " in line][-1]
        loop = float(last.split()[-2])
        job = folder / "results/dag/logs/seconds/train" / log.relative_to(folder / "results/dag/logs/train")
        with job.with_suffix(".tsv").open(encoding="utf-8") as lines:
            starts.append(float(next(csv.DictReader(lines, delimiter="\t"))["s"]) - loop)
    found = {
        "cores": cores,
        "jobs": jobs,
        "whole run, s": whole,
        "all else, core seconds per job": (whole * cores - within) / jobs,
        "a training job outside its loop, s": summary(starts),
    }
    print(json.dumps(found, indent=1), flush=True)
    return found


def _snakemake(folder: Path, *arguments: str) -> None:
    call = [sys.executable, "-m", "snakemake", "--cores", "all", "--configfile", "dag.yaml"]
    command([*call, *arguments], folder)

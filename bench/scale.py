"""Many jobs, with training replaced by a sleep: what the workflow itself costs, and whether each job runs once.

The networks of one rule, ten seeds a job. What follows ``--`` goes to snakemake: "-- --workflow-profile profiles/slurm
--config device=cpu" runs the jobs on a cluster. Processor seconds are those of this whole machine: leave it alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import yaml

from bench import dag
from bench.common import command
from gradreg.planning.experiment import Experiment

SEEDS = 10
RULE = f"train_digits_seeds_0_to_{SEEDS - 1}"
SIMULATION = '''"""In place of training."""
import argparse
import os
import time

parser = argparse.ArgumentParser()
parser.add_argument("--cells", nargs="+")
cells = parser.parse_known_args()[0].cells


def note(event):
    where = os.environ.get("SLURMD_NODENAME", "here")
    with open("journal", "a") as file:
        file.write(f"{event} {os.path.dirname(cells[0])} {where} {time.time()}\\n")


note("start")
time.sleep(float(os.environ["SIMULATED_SECONDS"]))
for cell in cells:
    for name in ("model.safetensors", "train.json", "history.csv"):
        with open(f"{cell}/{name}", "w") as file:
            file.write("{}")
note("end")
'''


def config(jobs: int) -> dict[str, Any]:
    """An experiment with so many jobs of training before the first choice, plain training among them."""
    whole = dag.config(1)
    (entry,) = whole["sweep"]
    entry["eps"] = {2: [i / 1000 for i in range(1, jobs)]}
    entry["seeds"] = entry["selection"]["seeds"] = SEEDS
    return whole | {"seeds_per_job": SEEDS}


def busy() -> float:
    """The processor seconds that this machine has worked since it was started."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)  # guests are in user and nice


def measure(jobs: int, seconds: float, slots: int, arguments: list[str]) -> dict[str, Any]:
    """Run so many jobs, at most ``slots`` at a time on this machine, and count them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dag.copy(folder)
        own = config(jobs)
        (folder / "scale.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")
        (folder / "workflow/scripts/train.py").write_text(SIMULATION, encoding="utf-8")
        where = arguments or ["--cores", str(slots)]
        call = [sys.executable, "-m", "snakemake", "--configfile", "scale.yaml", "--until", RULE, *where]
        start = time.perf_counter()
        command([*call, "--dry-run", "--quiet", "all"], folder)
        planning = time.perf_counter() - start
        environment = os.environ | {"PYTHONPATH": str(folder), "SIMULATED_SECONDS": str(seconds)}
        start, before = time.perf_counter(), busy()
        with (folder / "output").open("w") as output:
            process = subprocess.Popen(call, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
            main, memory = psutil.Process(process.pid), 0
            while process.poll() is None:
                memory = max(memory, main.memory_info().rss)
                time.sleep(0.2)
        wall, worked = time.perf_counter() - start, busy() - before
        if process.returncode:
            sys.exit((folder / "output").read_text(encoding="utf-8")[-3000:])
        lines = [line.split() for line in (folder / "journal").read_text(encoding="utf-8").splitlines()]
        counts = {event: Counter(run for of, run, *_ in lines if of == event) for event in ("start", "end")}
        wanted = {f"results/dag/cells/{run.path}" for run in Experiment(own).selection}
        starts = {run: float(when) for event, run, _, when in lines if event == "start"}
        apart = max(starts.values()) - min(starts.values())
        at_once = most_at_once(lines)
        return {
            "jobs": len(wanted),
            "networks": len(wanted) * SEEDS,
            "simulated seconds of each": seconds,
            "lost": len(wanted - counts["end"].keys()),
            "doubled": sum(count > 1 for count in counts["start"].values()),
            "unknown": len(counts["start"].keys() - wanted),
            "dry run, s": planning,
            "whole run, s": wall,
            "from the first job's start to the last's, s": apart,
            "jobs at once": at_once,
            "from a job's end to the next in its place, s": apart * at_once / max(1, jobs - at_once) - seconds,
            "processor seconds per job": worked / len(wanted),
            "memory of snakemake, MB": memory / 2**20,
            "jobs of each node": dict(Counter(where for event, _, where, _ in lines if event == "end")),
        }


def most_at_once(lines: list[list[str]]) -> int:
    """The most jobs that ran at the same time."""
    running = most = 0
    for _, step in sorted((float(when), 1 if event == "start" else -1) for event, _, _, when in lines):
        running += step
        most = max(most, running)
    return most


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("jobs", type=int, help="so many, of ten networks each")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a job's sleep")
    parser.add_argument("--slots", type=int, default=10, help="jobs at a time, on this machine")
    own = sys.argv[1:]
    end = own.index("--") if "--" in own else len(own)
    args = parser.parse_args(own[:end])
    print(json.dumps(measure(args.jobs, args.seconds, args.slots, own[end + 1 :]), indent=1))


if __name__ == "__main__":
    main()

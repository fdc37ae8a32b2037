"""A copy of the project in a folder of its own, with a tiny experiment on two data sets, for tests of the workflow."""

import copy
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PARTS = ("Snakefile", "workflow", "gradreg", "profiles")
TINY = yaml.safe_load("""
experiment: tiny
device: cpu
seeds_per_job: 2
sweep:
  - dataset: digits
    n_train: 300
    seeds: 2
    selection: {n_train: 200, n_validation: 100, seeds: 2}
    models: {softmax: {kind: sigmoid_mlp, units: [8]}}
    baseline: {plain: {}, alike: {}}
    eps: {2: [0.1, 0.3], inf: [0.05]}
    train: {epochs: 2, batch_size: 50, lr: 1.0}
    attack:
      images: 20
      steps: 2
      eps: {2: [0.2], inf: [0.05]}
      noise: {gaussian: [0.2]}
      strong: {hard: {attacks: [targeted, apgd_ce], images: 5, seeds: 1}}
    transfer: {images: 10, halves: true}
  - dataset: twin
    n_train: 300
    seeds: 2
    selection: {n_train: 200, n_validation: 100, seeds: 2}
    models: {net: {kind: sigmoid_mlp, units: [8]}}
    objectives: {perturb: {kind: perturb}, exact: {kind: penalty, eps: {2: [0.1]}}}
    eps: {2: [0.1]}
    train: {epochs: 2, batch_size: 50, lr: 1.0}
    attack: {images: 20, steps: 2, eps: {2: [0.2]}}
    gallery: {classes: []}
""")


@dataclass
class Job:
    """One planned job: its stage, and the files it is to write."""

    stage: str
    output: str


@dataclass
class Project:
    """A folder with a copy of the project."""

    folder: Path

    def snakemake(self, *arguments, check=True, cwd=None, **environment):
        """Run Snakemake there, or in another folder, on the copy of the package."""
        process = self.start(*arguments, cwd=cwd, **environment)
        stdout, stderr = process.communicate()
        assert process.returncode == 0 or not check, stdout + stderr
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def start(self, *arguments, cwd=None, terminal=None, **environment):
        """Start Snakemake there, in a process group of its own; terminal: a descriptor that it writes to."""
        environment = os.environ | {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"} | environment
        command = [sys.executable, "-m", "snakemake", *map(str, arguments)]
        out = terminal or subprocess.PIPE
        pipes = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out}
        return subprocess.Popen(
            command, cwd=cwd or self.folder, env=environment, text=True, start_new_session=True, **pipes
        )

    def plan(self, *arguments):
        """The jobs of a dry run."""
        done = self.snakemake("--cores", 2, "--dry-run", "--quiet", "host", *arguments)
        text = re.sub(r"\[[A-Z][a-z]{2} [A-Z][a-z]{2} .*\]", "", done.stdout + done.stderr)
        found = re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?:    .*\n)*)", text, re.MULTILINE)
        jobs = []
        for name, block in found:
            stage = next(
                (
                    stage
                    for stage in ("train", "evaluate", "strong", "figures", "tables")
                    if name.startswith(stage + "_")
                ),
                name,
            )
            outputs = re.search(r"^    output: (.*)$", block, re.MULTILINE)
            jobs.append(Job(stage, outputs[1] if outputs else ""))
        return jobs

    def counts(self, *arguments):
        """The number of jobs of each stage in a dry run."""
        return Counter(job.stage for job in self.plan(*arguments))

    def configure(self, config):
        """Write the config."""
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    def append(self, file, text):
        """Add text to a file."""
        with (self.folder / file).open("a") as stream:
            stream.write(text)

    def copy(self, folder):
        """The same, as it stands, in another folder."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(Path(folder))


def configured(change=lambda digits, twin: None, **top):
    """The tiny config after ``change``, which edits its entries."""
    result = copy.deepcopy(TINY) | top
    change(*result["sweep"])
    return result


def only(epochs, **train):
    """The tiny experiment with one data set, one norm and more epochs."""

    def change(digits, twin):
        digits["eps"] = {2: [0.1]}
        digits["baseline"] = {"plain": {}}
        digits["train"] |= {"epochs": epochs} | train
        digits["attack"]["strong"] = {}
        del digits["transfer"]

    config = configured(change)
    return config | {"sweep": config["sweep"][:1]}


def create(folder, config=TINY):
    """A copy of the project that knows a second data set, ``twin``: digits under another name."""
    folder.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / part)
    project = Project(folder)
    datasets = folder / "gradreg" / "registry" / "datasets.yaml"
    registered = yaml.safe_load(datasets.read_text())
    datasets.write_text(yaml.safe_dump(registered | {"twin": registered["digits"]}))
    project.configure(config)
    return project

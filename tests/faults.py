"""Faults that befall the jobs of a run: put into their Python by a ``sitecustomize`` that the variable FAULT steers."""

import json
import os
import re
import signal
from pathlib import Path

from gradreg.storage import tensors

# What must be equal, to the byte, where a run was cut off and where it was not.
COMPARED = ("model.safetensors", "train.json", "history.csv", "metrics.csv", "test.csv", "validation.csv")
SITE = """
import os, pathlib, resource, signal, sys

kind, _, rest = os.environ.get("FAULT", "").partition(" ")
script, _, rest = rest.partition(" ")
if kind and any(argument.endswith(script) for argument in sys.orig_argv):
    if kind == "limit":  # no file may be larger
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(rest), resource.RLIM_INFINITY))
    elif kind in ("kill", "killall"):  # in the n-th write of a file whose path has a part
        part, count = rest.rsplit(" ", 1)
        left, write = [int(count)], pathlib.Path.write_bytes

        def write_bytes(self, content):
            if part in str(self):
                left[0] -= 1
                if left[0] == 0:
                    write(self, content[: len(content) // 2])
                    os.killpg(0, signal.SIGKILL) if kind == "killall" else os.kill(os.getpid(), signal.SIGKILL)
            return write(self, content)

        pathlib.Path.write_bytes = write_bytes
    elif kind == "remove":  # a file that is there when the job is planned is gone when it starts
        os.unlink(rest)
"""


def environment(project, fault):
    """The environment in which the jobs of a project have a fault."""
    folder = project.folder.parent / "faults"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(SITE)
    return {"FAULT": fault, "PYTHONPATH": f"{project.folder}{os.pathsep}{folder}"}


def kill(process):
    """Kill a run with all its jobs, as a machine that goes down does."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def saved(project):
    """The number of finished epochs in each state of training: path below ``resume`` -> epochs."""
    found = {}
    root = project.folder / "results/tiny/resume"
    for file in root.rglob("seed-*.safetensors"):
        facts = json.loads(tensors.read(file)[1]["facts"])
        before = facts.get("phases", {}).get("before") or []  # of a first phase
        found[str(file.relative_to(root))] = len(before) + len(facts["history"][0])
    return found


def first_epochs(project, since=0.0):
    """The first epoch in each log of training that was begun after a time: path of the run -> epoch."""
    root = project.folder / "results/tiny/logs/train"
    found = {}
    for log in root.rglob("*.log"):
        epoch = re.search(r" epoch (\d+)/", log.read_text())
        if epoch and log.stat().st_mtime > since:
            found[str(log.parent.relative_to(root))] = int(epoch[1])
    return found


def results(project, *names):
    """The files of these names below the experiment's folder, by their paths there; of JSON, what must be equal."""
    root = project.folder / "results/tiny"
    found = {}
    for name in names:
        for file in root.rglob(name):
            content = file.read_bytes()
            if file.name == "train.json":
                record = json.loads(content)
                content = {key: record[key] for key in ("cell", "training", "status", "diverged_in_epoch", "weights")}
            found[str(file.relative_to(root))] = content
    return found


def errors(done):
    """The lines that tell a user what went wrong."""
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error: ")]


def strays(project):
    """Temporary files left in the results."""
    hidden = [file for file in Path(project.folder / "results").rglob(".*") if file.is_file()]
    return [str(file) for file in hidden if file.suffix != ".sha256" or file.name.startswith(".sum")]

"""Shared settings of the tests: one thread, as every job has, and reproducible examples."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess

import matplotlib.pyplot as plt
import pytest
import torch
import yaml
from hypothesis import settings
from project import Project, create
from torch import nn

from gradreg.reporting.plots import style

torch.set_num_threads(1)
settings.register_profile("default", deadline=None, derandomize=True, print_blob=False)
settings.load_profile("default")
# A terminal's width and colours must not decide what a test reads.
os.environ.setdefault("NO_COLOR", "1")


def pytest_sessionfinish(session):
    """In continuous integration a skipped test is a failure: there everything the tests need is installed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = 1


def once(factory, name, make):
    """A folder, and what ``make`` said of filling it: once for all processes of a test run; the others wait."""
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, said = base / name, base / f"{name}.json"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a try that failed
            done = make(folder)
            said.write_text(json.dumps([done.stdout, done.stderr]))
    return folder, json.loads(said.read_text())


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """The tiny experiment, run to its report, in a folder whose name has a space. Tests copy it, or only look."""
    folder, said = once(tmp_path_factory, "flow", lambda folder: create(folder / "a project").snakemake("--cores", 2))
    project = Project(folder / "a project")
    project.output = subprocess.CompletedProcess([], 0, *said)
    return project


@pytest.fixture
def finished(template, tmp_path):
    """A copy of the finished experiment, to be changed."""
    return template.copy(tmp_path / "a copy")


@pytest.fixture(scope="session")
def untouched(tmp_path_factory):
    """What nothing befell: a function of a config and of targets. Tests copy it, or only look."""

    def run(config, targets):
        key = hashlib.sha256(yaml.safe_dump([config, list(targets)]).encode()).hexdigest()[:10]
        folder, _ = once(
            tmp_path_factory,
            f"untouched-{key}",
            lambda folder: create(folder / "p", config).snakemake("--cores", 2, *targets),
        )
        return Project(folder / "p")

    return run


@pytest.fixture
def extras(monkeypatch):
    """The packages of optional extras count as installed: what configs may say of them does not hang on it."""
    monkeypatch.setattr("gradreg.registry.importlib.util.find_spec", lambda name: name)


@pytest.fixture
def network():
    """A linear network of three classes for images of 4 x 4 pixels."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval().requires_grad_(False)
    net[1].weight.copy_(torch.randn(3, 16, generator=torch.Generator().manual_seed(1)))
    return net


@pytest.fixture
def close_figures():
    """The style of all figures, and none left open."""
    style.use()
    yield
    plt.close("all")

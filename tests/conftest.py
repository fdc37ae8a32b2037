"""Shared settings of the tests: one thread, as every job has, and reproducible examples."""

import fcntl
import functools
import json
import os
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


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """The tiny experiment, run to its report, in a folder whose name has a space. Tests copy it, or only look.

    It is run once for all processes of a test run; the others wait.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    project, said = Project(base / "flow" / "a project"), base / "flow.json"
    with (base / "flow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.exists():
            done = create(project.folder).snakemake("--cores", 2)
            said.write_text(json.dumps([done.stdout, done.stderr]))
    project.output = subprocess.CompletedProcess([], 0, *json.loads(said.read_text()))
    return project


@pytest.fixture
def finished(template, tmp_path):
    """A copy of the finished experiment, to be changed."""
    return template.copy(tmp_path / "a copy")


@pytest.fixture(scope="session")
def untouched(tmp_path_factory):
    """What nothing befell: a function of a config and of targets, run once for each."""

    @functools.cache
    def run(text, targets):
        project = create(tmp_path_factory.mktemp("untouched") / "p", yaml.safe_load(text))
        project.snakemake("--cores", 2, *targets)
        return project

    return lambda config, targets: run(yaml.safe_dump(config), tuple(targets))


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

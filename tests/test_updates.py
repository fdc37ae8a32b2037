"""Updates of a finished experiment that fail, are killed or are half undone. Long: ``make test-faults`` runs it."""

import itertools
import os
import shutil
import signal
import subprocess
import time

import faults
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from project import only

pytestmark = pytest.mark.faults

BEFORE, EPOCHS, NOISE = only(2), only(3), only(2)
NOISE["sweep"][0]["attack"]["noise"] = {"gaussian": [0.1, 0.2]}
CONFIGS = {"before": BEFORE, "epochs": EPOCHS, "noise": NOISE}
FAULTS = {
    "training of one block": "kill train.py perturb 1",
    "evaluation": "limit evaluate.py 2000",
    "joined tables": "limit join_tables.py 100",
    "tables": "limit make_table.py 100",
    "figures": "limit plot_figures.py 2000",
}
COMPARED = (*faults.COMPARED, "errors.csv", "errors.md", "flags.csv", "robust_error.svg", "noise.svg")


def assert_finished_by(project, fresh):
    """Whatever happened, the plain command ends in the files of a run in a clean folder."""
    project.snakemake("--cores", 2)
    assert project.plan() == []
    files, expected = faults.results(project, *COMPARED), faults.results(fresh, *COMPARED)
    assert {name for name in expected if files.get(name) != expected[name]} == set()


def test_an_update_that_failed_is_finished_by_the_same_command(tmp_path, untouched):
    """Old results are not taken for new ones, whatever Snakemake deleted or recorded."""
    project = untouched(BEFORE, []).copy(tmp_path / "project")
    project.configure(EPOCHS)
    environment = faults.environment(project, FAULTS["training of one block"])
    assert project.snakemake("--cores", 2, "--keep-going", check=False, **environment).returncode != 0
    assert_finished_by(project, untouched(EPOCHS, []))


class Updates(RuleBasedStateMachine):
    """A finished experiment that is changed, fails, is killed, loses files and is forgotten, in any order."""

    folders = itertools.count()

    def __init__(self, untouched, folder):
        super().__init__()
        self.untouched, self.config = untouched, BEFORE
        self.project = untouched(BEFORE, []).copy(folder / str(next(self.folders)) / "project")

    @rule(name=st.sampled_from(sorted(CONFIGS)))
    def change_the_config(self, name):
        self.config = CONFIGS[name]
        self.project.configure(self.config)

    @rule(name=st.sampled_from(sorted(FAULTS)), options=st.sampled_from([(), ("--keep-going",)]))
    def fail(self, name, options):
        environment = faults.environment(self.project, FAULTS[name])
        self.project.snakemake("--cores", 2, *options, check=False, **environment)

    @rule(seconds=st.integers(2, 12), alone=st.booleans())
    def kill(self, seconds, alone):
        """Snakemake with its jobs, or alone: then its jobs end by themselves."""
        process = self.project.start("--cores", 2, "--no-hooks")
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill() if alone else os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        while subprocess.run(["pgrep", "-g", str(process.pid)], check=False, capture_output=True).stdout:
            time.sleep(0.2)
        self.project.snakemake("--unlock")

    @rule(number=st.integers(0, 10**6))
    def delete_a_file(self, number):
        files = sorted(file for file in (self.project.folder / "results").rglob("*") if file.is_file())
        files[number % len(files)].unlink()

    @rule()
    def forget(self):
        shutil.rmtree(self.project.folder / ".snakemake", ignore_errors=True)

    def teardown(self):
        assert_finished_by(self.project, self.untouched(self.config, []))


def test_whatever_happens_the_same_command_ends_in_the_results_of_a_fresh_run(tmp_path, untouched):
    run_state_machine_as_test(
        lambda: Updates(untouched, tmp_path),
        settings=settings(
            max_examples=3, stateful_step_count=5, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
        ),
    )

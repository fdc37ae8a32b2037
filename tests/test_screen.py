"""The screen of a run: ``snakemake --logger gradreg``."""

import os
import pty
import re

import faults
import pytest
from project import create, only

import snakemake_logger_plugin_gradreg as screen

SCREEN = ("--logger", "gradreg")
RUN = {"dataset": "digits", "n_train": "1297", "model": "maxout", "objective": "perturb", "p": "2", "eps": "0.4"}


PLAIN = {"p": "none", "objective": "plain-decay"}


@pytest.mark.parametrize(
    ("rule", "changes", "said"),
    [
        ("train_digits_seeds_0_to_4", {}, "train maxout, p = 2, eps 0.4, 1297 images, seeds 0 to 4"),
        ("train_digits_seeds_5_to_5", PLAIN, "train maxout, plain-decay, 1297 images, seed 5"),
        (
            "evaluate_a_seeds_0_to_1",
            {"objective": "sam"},
            "attack maxout, sam, p = 2, eps 0.4, 1297 images, seeds 0 to 1",
        ),
        ("strong_apgd_digits_seeds_0_to_0", {}, "attack strongly maxout, p = 2, eps 0.4, 1297 images, seed 0"),
        ("take_network", PLAIN | {"p": "given", "objective": "theirs"}, "take maxout, theirs, 1297 images"),
        ("choose", {"eps": None}, "choose a setting of maxout, p = 2, 1297 images"),
        ("join_group", {"eps": None, "table": "test"}, "join group maxout, p = 2, 1297 images"),
    ],
)
def test_jobs_are_told_in_words(rule, changes, said):
    wildcards = {key: value for key, value in (RUN | changes).items() if value is not None}
    assert screen.describe(rule, wildcards) == said


@pytest.mark.parametrize("rule", ["data", "report", "figures_digits_1297", "tables_digits_1297", "provenance"])
def test_jobs_without_a_network_are_told_by_their_rule(rule):
    assert screen.describe(rule, {}) == rule.replace("_", " ")


def test_a_dry_run_is_told_as_without_it(finished):
    finished.configure(only(3, lr=0.5))
    texts = [finished.snakemake("--dry-run", *logger) for logger in ((), SCREEN)]
    texts = [re.sub(r"\[.*\]|Elapsed.*|.*\.snakemake/log.*", "", done.stdout + done.stderr) for done in texts]
    assert texts[0] == texts[1]


def on_a_terminal(project, **environment):
    """The exit code of a run, and what a terminal of 120 columns was sent."""
    ours, theirs = pty.openpty()
    process = project.start("--cores", 1, *SCREEN, terminal=theirs, TERM="xterm", COLUMNS="120", **environment)
    os.close(theirs)
    sent = b""
    try:
        while part := os.read(ours, 65536):
            sent += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    # A carriage return begins the line anew, as a line feed begins the next.
    return process.wait(), re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sent.decode()).replace("\r", "\n")


def test_a_terminal_has_a_bar_and_a_line_for_each_job_that_runs(finished):
    (finished.folder / "results/tiny/figures/digits-300/probe.png").unlink()
    code, said = on_a_terminal(finished)
    assert code == 0
    assert re.search(r"━ +\d of \d+ jobs, 0:\d\d:\d\d gone, about", said)
    assert re.search(r"^  figures digits 300   \d+ s", said, re.MULTILINE)
    assert re.search(r"^\d+ jobs done in \d+\.\d min", said, re.MULTILINE)
    assert "Report: results/tiny/report.html" in said
    assert "jobid" not in said


@pytest.mark.faults
def test_a_terminal_has_the_epochs_of_what_trains_and_the_end_of_a_log_that_failed(tmp_path):
    project = create(tmp_path / "project", only(1000))
    project.snakemake("--cores", 1, "--until", "data")
    fault = faults.environment(project, "kill train.py seed-0 3")
    code, said = on_a_terminal(project, **fault)
    assert code != 0
    assert re.search(r"^  train softmax, .*, 200 images, seeds 0 to 1   epoch \d+/1000", said, re.MULTILINE)
    assert re.search(r"Failed: train softmax, .*; log: results/tiny/logs/train/", said)
    assert "Error: killed (SIGKILL); where memory is short" in said.partition("Failed: ")[2]


def test_a_file_has_few_lines(finished):
    (finished.folder / "results/tiny/figures/digits-300/probe.png").unlink()
    done = finished.snakemake("--cores", 1, *SCREEN)
    lines = (done.stdout + done.stderr).splitlines()
    assert len(lines) < 25
    assert any(re.fullmatch(r"\d+ of \d+ jobs done", line) for line in lines)

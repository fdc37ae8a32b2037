"""Runs through a real Slurm of three nodes: ``make test-cluster`` installs it where it is missing."""

import functools
import re
import shutil
import signal

import cluster
import faults
import pytest
from cluster import finish, wait
from project import create, only

pytestmark = pytest.mark.cluster

SLURM = ("--workflow-profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", 3)
GENERIC = ("--workflow-profile", "profiles/cluster-generic", "--seconds-between-status-checks", 2)
HERE = ("--config", "device=cpu", "--latency-wait", 10)
NAMES = ("plain", "alike", "third")
CELLS = [f"results/tiny/cells/digits-200/softmax/{name}/p-none/eps-0/seed-0/train.json" for name in NAMES]
# An epoch of training takes a second then, or as long as the environment says; its results are what they were.
SLOW = """

import os as _os
import time as _time

_show = EpochProgress.__call__


def _slowly(self, *arguments):
    _time.sleep(float(_os.environ.get("SLOW", 1.0)))
    _show(self, *arguments)


EpochProgress.__call__ = _slowly
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    if not shutil.which("slurmctld", path=cluster.OUTWARDS):
        pytest.skip("Slurm is not installed: make test-cluster does that, on Debian")
    running = cluster.start(tmp_path_factory.mktemp("slurm"))
    yield running
    cluster.stop(running)


@pytest.fixture(autouse=True)
def whole(slurm):
    """Whatever a test left, the next one finds all nodes and no job."""
    yield
    slurm.clear()


def three(*epochs):
    """Three networks of one seed, with the same rule, and the epochs of each."""
    config = only(3)
    (entry,) = config["sweep"]
    entry["baseline"] = {name: {"train": {"epochs": own}} for name, own in zip(NAMES, epochs, strict=True)}
    entry["selection"]["seeds"] = 1
    return config


def begin(slurm, project, *arguments, **environment):
    """Start a run through a cluster."""
    process = project.start(*HERE, *arguments, **slurm.environment, **environment)
    slurm.runs.append(process)
    return process


def through(slurm, project, *arguments, **environment):
    """Run through a cluster; what is printed, and the jobs that the cluster had."""
    before = slurm.last()
    code, text = finish(begin(slurm, project, *arguments, **environment), 400)
    assert code == 0, text
    return text, slurm.jobs(before)


def trained(project):
    """What three networks are."""
    return faults.results(project, "model.safetensors", "train.json", "history.csv")


def rule(job):
    """The rule of a job."""
    return re.match(r"rule_(?:checkpoint_)?([a-z]+)", job["Comment"])[1]


def test_an_experiment_through_slurm_equals_a_local_one(tmp_path, slurm):
    """From data to report, training with a GPU: jobs on all nodes, light rules here, results equal to the byte."""
    here, there = (create(tmp_path / name / "p", only(3)) for name in ("here", "there"))
    here.snakemake("--cores", 2)
    gpus = [f"train_digits_seeds_0_to_1:{setting}" for setting in ("gpu=1", "device=cpu")]
    text, jobs = through(slurm, there, "--set-resources", *gpus, *SLURM)
    assert text.strip().splitlines()[-1] == "Report: results/tiny/report.html"
    assert faults.results(there, *faults.COMPARED) == faults.results(here, *faults.COMPARED)
    assert {rule(job) for job in jobs} == {"train", "evaluate", "gallery"}
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    assert {job["NodeList"] for job in jobs} == {"n1", "n2", "n3"}
    for job in jobs:
        training = rule(job) == "train"
        assert job.get("TresPerJob") == ("gres:gpu:1" if training else None)
        assert not training or job["NodeList"] in ("n2", "n3")
        assert job["MinMemoryNode"] in ("4000M", "4G")
        assert job["TimeLimit"] == {"train": "04:00:00", "evaluate": "02:00:00", "gallery": "00:30:00"}[rule(job)]


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """Three networks as they are without a cluster: a function of their epochs."""

    @functools.cache
    def of(*epochs):
        project = create(tmp_path_factory.mktemp("local") / "p", three(*epochs))
        project.snakemake("--cores", 2, *CELLS)
        return trained(project)

    return of


def test_what_befalls_jobs_is_seen_and_they_go_on_where_they_were(tmp_path, slurm, local):
    """One is cancelled, one meets its time limit, one loses its node: three jobs side by side on a node each."""
    project = create(tmp_path / "p", three(40, 40, 110))
    project.append("gradreg/training/progress.py", SLOW)
    before = slurm.last()
    process = begin(slurm, project, *SLURM, *CELLS)
    running = wait(lambda: len(faults.saved(project)) == 3 and slurm.jobs(before), 120, "three states of training")
    assert [job["JobState"] for job in running] == ["RUNNING"] * 3
    assert sorted(job["NodeList"] for job in running) == ["n1", "n2", "n3"]
    cancelled, lost, late = (next(job for job in running if name in job["Comment"]) for name in NAMES)
    slurm.command("scontrol", "update", f"JobId={late['JobId']}", "TimeLimit=1")
    slurm.command("scancel", cancelled["JobId"])
    slurm.lose(lost)
    code, text = finish(process, 500)
    assert code == 0, text
    jobs = slurm.jobs(before)
    ends = {job["JobId"]: (job["JobState"], int(job["Restarts"])) for job in jobs}
    assert ends[cancelled["JobId"]] == ("CANCELLED", 0)
    assert ends[late["JobId"]] == ("TIMEOUT", 0)
    assert ends[lost["JobId"]] == ("COMPLETED", 1), "Slurm itself puts it back into the queue"
    assert "'CANCELLED'" in text
    assert "'TIMEOUT'" in text
    assert len(jobs) == 5
    assert [job["JobState"] for job in jobs[3:]] == ["COMPLETED"] * 2
    assert {job["MinMemoryNode"] for job in jobs[3:]} == {"8000M"}, "a second try gets more memory"
    first = faults.first_epochs(project)
    assert len(first) == 3
    assert min(first.values()) > 1, "each went on where it was"
    assert trained(project) == local(40, 40, 110)


def test_a_node_that_is_lost_is_told_where_slurm_does_not_requeue(tmp_path, slurm, local):
    project = create(tmp_path / "p", three(20, 20, 20))
    project.append("gradreg/training/progress.py", SLOW)
    before = slurm.last()
    process = begin(slurm, project, *SLURM, "--slurm-no-requeue", CELLS[0])
    wait(lambda: faults.saved(project), 60, "a state of training")
    slurm.lose(slurm.jobs(before)[0])
    code, text = finish(process, 400)
    assert code == 0, text
    assert [job["JobState"] for job in slurm.jobs(before)] == ["NODE_FAIL", "COMPLETED"]
    assert min(faults.first_epochs(project).values()) > 1
    assert trained(project).items() <= local(20, 20, 20).items()


def test_an_interrupted_run_takes_its_jobs_with_it_and_goes_on(tmp_path, slurm, local):
    project = create(tmp_path / "p", three(90, 90, 90))
    project.append("gradreg/training/progress.py", SLOW)
    process = begin(slurm, project, *SLURM, *CELLS)
    wait(lambda: len(faults.saved(project)) == 3, 120, "three states of training")
    process.send_signal(signal.SIGINT)
    code, _ = finish(process, 60)
    assert code != 0
    wait(lambda: not slurm.command("squeue", "--noheader"), 30, "an empty queue")
    saved = min(faults.saved(project).values())
    through(slurm, project, *SLURM, *CELLS, SLOW="0")
    assert min(faults.first_epochs(project).values()) > saved
    assert trained(project) == local(90, 90, 90)


def test_arrays(tmp_path, slurm, local):
    """By the three lines that are comments in the profile, over two rules; a task that is cancelled is run again."""
    project = create(tmp_path / "p", three(90, 90, 90))
    project.append("gradreg/training/progress.py", SLOW)
    profile = project.folder / "profiles/slurm/profile.yaml"
    text = profile.read_text()
    for line in ("slurm-array-jobs: all", "jobs: 100000", "max-jobs-per-timespan: 100000/1s"):
        assert f"\n# {line}\n" in text
        text = text.replace(f"\n# {line}\n", f"\n{line}\n")
    profile.write_text(text)
    before = slurm.last()
    measured = [cell.replace("train.json", "metrics.csv") for cell in CELLS]
    process = begin(slurm, project, *SLURM, *measured, SLOW="0.3")
    wait(lambda: len(faults.saved(project)) == 3, 120, "three states of training")
    slurm.command("scancel", f"{slurm.jobs(before)[0]['ArrayJobId']}_2")
    code, text = finish(process, 300)
    assert code == 0, text
    jobs = slurm.jobs(before)
    tasks = {job["ArrayTaskId"]: job["JobState"] for job in jobs if rule(job) == "train" and "ArrayTaskId" in job}
    assert tasks == {"1": "COMPLETED", "2": "CANCELLED", "3": "COMPLETED"}
    # As an array or one by one: as they become ready.
    assert [job["JobState"] for job in jobs if rule(job) == "evaluate"] == ["COMPLETED"] * 3
    assert trained(project) == local(90, 90, 90)
    assert all((project.folder / file).exists() for file in measured)


def test_any_scheduler_by_its_commands(tmp_path, slurm, local):
    """profiles/cluster-generic: GPUs as asked for, a job that is cancelled is run again."""
    project = create(tmp_path / "p", three(40, 40, 40))
    project.append("gradreg/training/progress.py", SLOW)
    before = slurm.last()
    gpu = ("--set-resources", "train_digits_seeds_0_to_0:gpu=1")
    process = begin(slurm, project, *gpu, *GENERIC, *CELLS)
    wait(lambda: len(faults.saved(project)) >= 2, 60, "two states of training")
    slurm.command("scancel", slurm.jobs(before)[0]["JobId"])
    code, text = finish(process, 200)
    assert code == 0, text
    jobs = slurm.jobs(before)
    assert sorted(job["JobState"] for job in jobs) == ["CANCELLED", "COMPLETED", "COMPLETED", "COMPLETED"]
    assert {job["TresPerJob"] for job in jobs} == {"gres:gpu:1"}
    assert {job["NodeList"] for job in jobs} == {"n2", "n3"}
    assert {job["TimeLimit"] for job in jobs} == {"04:00:00"}
    assert max(faults.first_epochs(project).values()) > 1
    assert trained(project) == local(40, 40, 40)

"""Several GPUs in one machine: which of them a job sees. The GPUs are fake: names in CUDA_VISIBLE_DEVICES."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter

import pytest
import yaml
from cluster import wait
from project import ROOT, configured, create

RUN = "results/tiny/cells/digits-200/softmax"
LOGS = "results/tiny/logs/train/digits-200/softmax"
# A job that reserves a GPU, says which it sees, and goes on.
JOB = """
import os, time
from gradreg.device import reserve_gpu
reserve_gpu()
print("sees", os.environ.get("CUDA_VISIBLE_DEVICES", "all"), flush=True)
time.sleep(60)
"""
# What the jobs of a run see of the GPUs while they train: a file each, with what others see at the same time.
SITE = """
import os, pathlib, sys, threading, time

def watch():
    folder, limit = pathlib.Path(os.environ["SEEN"]), time.monotonic() + 60
    while "," in os.environ["CUDA_VISIBLE_DEVICES"] and time.monotonic() < limit:
        time.sleep(0.05)
    file = folder / f"{os.getpid()}"
    file.write_text(os.environ["CUDA_VISIBLE_DEVICES"])
    time.sleep(3)
    with (folder / "log").open("a") as log:
        now = []
        for other in folder.glob("[0-9]*"):
            try:
                now.append(other.read_text())
            except FileNotFoundError:
                pass
        log.write(" ".join(sorted(now)) + "\\n")
    time.sleep(1)
    file.unlink()

if any(argument.endswith("train.py") for argument in sys.orig_argv):
    threading.Thread(target=watch).start()
"""


@pytest.fixture
def start(tmp_path):
    """A function that starts a job and tells what GPU it sees."""
    jobs = []

    def one(**environment):
        clean = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
        process = subprocess.Popen(
            [sys.executable, "-c", JOB],
            env=clean | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)} | environment,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        jobs.append(process)
        while not (line := process.stdout.readline()).startswith("sees "):
            assert line, "the job did not run"
        return process, line.removeprefix("sees ").strip()

    yield one
    for process in jobs:
        end(process)


def end(process, which=signal.SIGKILL):
    """End a job and what it started."""
    if process.poll() is None:
        os.killpg(process.pid, which)
        process.communicate()


def test_each_job_sees_one_gpu_and_each_gpu_as_many_jobs(start):
    seen = [start(CUDA_VISIBLE_DEVICES="4,5,MIG-ab")[1] for _ in range(6)]
    assert sorted(seen[:3]) == ["4", "5", "MIG-ab"]
    assert set(Counter(seen).values()) == {2}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_place_of_a_job_that_ended_is_free_however_it_ended(start, how):
    first, gpu = start(CUDA_VISIBLE_DEVICES="0,1")
    _, other = start(CUDA_VISIBLE_DEVICES="0,1")
    assert (gpu, other) == ("0", "1")
    end(first, how)
    assert start(CUDA_VISIBLE_DEVICES="0,1")[1] == "0"


def test_the_next_job_goes_where_the_fewest_are(start):
    jobs = [start(CUDA_VISIBLE_DEVICES="0,1") for _ in range(3)]
    assert [gpu for _, gpu in jobs] == ["0", "1", "0"]
    end(jobs[0][0])
    end(jobs[1][0])
    assert [start(CUDA_VISIBLE_DEVICES="0,1")[1] for _ in range(2)] == ["1", "0"]


def test_where_no_place_can_be_held_the_job_runs_all_the_same(start, tmp_path):
    (tmp_path / f"gradreg-gpus-{os.getuid()}").write_text("no folder")
    assert start(CUDA_VISIBLE_DEVICES="0,1")[1] == "0,1"


def test_a_signal_while_the_driver_is_asked_ends_the_job(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "nvidia-smi").write_text(f"#!/bin/sh\ntouch '{tmp_path}/asked'\nsleep 30\n")
    (tools / "nvidia-smi").chmod(0o755)
    environment = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        [sys.executable, "-c", JOB],
        env=environment | {"PATH": path, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    wait(lambda: (tmp_path / "asked").exists(), 30)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM
    assert process.stdout.read() == b""


def test_what_is_given_by_a_scheduler_stays(start):
    assert [start(CUDA_VISIBLE_DEVICES="3")[1] for _ in range(2)] == ["3", "3"]
    assert start(CUDA_VISIBLE_DEVICES="")[1] == ""


def test_where_nothing_is_given_the_driver_is_asked(start, tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    assert start(PATH=path)[1] == "all", "there is none"
    (tools / "nvidia-smi").write_text("#!/bin/sh\necho GPU-a\necho GPU-b\n")
    (tools / "nvidia-smi").chmod(0o755)
    assert [start(PATH=path)[1] for _ in range(2)] == ["GPU-a", "GPU-b"]


@pytest.mark.faults
def test_the_profile_fills_the_gpus_and_no_more(tmp_path):
    """Four GPU jobs at a time, over two fake GPUs: two on each."""
    gpus, together = 4, 2
    profile = yaml.safe_load((ROOT / "profiles/gpu/profile.yaml").read_text())
    assert profile["resources"] == {"gpu": 2}
    assert profile["config"] == ["device=cuda"]

    names = ("plain", "alike", "same", "last")
    project = create(
        tmp_path / "p", configured(lambda digits, twin: digits.update(baseline={name: {} for name in names}))
    )
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE)
    (tmp_path / "seen").mkdir()
    project.snakemake(
        *("--cores", 4, "--workflow-profile", "profiles/gpu", "--resources", f"gpu={gpus}"),
        *("--set-resources", "train_digits_seeds_0_to_1:device=auto", "--until", "train_digits_seeds_0_to_1", "--"),
        *(f"{RUN}/{name}/p-none/eps-0/seed-0/train.json" for name in names),
        SEEN=str(tmp_path / "seen"),
        CUDA_VISIBLE_DEVICES="0,1",
        TMPDIR=str(tmp_path),
        PYTHONPATH=f"{project.folder}{os.pathsep}{tmp_path / 'site'}",
    )
    moments = [Counter(line.split()) for line in (tmp_path / "seen" / "log").read_text().splitlines()]
    assert len(moments) == len(names)
    assert {gpu for moment in moments for gpu in moment} == {"0", "1"}
    assert max(max(moment.values()) for moment in moments) == together
    told = [re.search(r"on GPU (\d), place (\d)", log.read_text()) for log in (project.folder / LOGS).rglob("*.log")]
    assert {(match[1], int(match[2])) for match in told} == {(g, n) for g in "01" for n in range(1, together + 1)}

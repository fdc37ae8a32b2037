"""What a run survives: kills, signals, full disks, files that vanish. Long: ``make test-faults`` runs it."""

import copy
import functools
import os
import random
import re
import signal
import subprocess
import time

import faults
import pytest
import yaml
from project import TINY, create, only

pytestmark = pytest.mark.faults

# A patience and what follows it, averages, dropout, shifts of images; each job trains for some seconds.
ENTRY = yaml.safe_load("""
models:
  maxout:
    kind: maxout
    units: [20, 20]
    pieces: 3
    keep_hidden: 0.8
    train: {epochs: 120, averaging: 0.9, max_norm: 1.9}
  sigmoid:
    kind: sigmoid_mlp
    units: [20]
    train: {epochs: 300, patience: 100, retrain: continue, lr_schedule: exponential, lr: 0.3}
  convolutional:
    kind: conv_maxout
    channels: [6, 4]
    pieces: [2, 2]
    kernels: [3, 3]
    padding: [1, 1]
    pool: [3, 2]
    stride: [2, 2]
    init: 0.1
    train: {epochs: 50, pad: 1}
eps: {2: [0.1]}
train: {batch_size: 50, lr: 0.05}
attack: {images: 20, steps: 2, eps: {2: [0.2]}}
gallery: {classes: []}
selection: {n_train: 200, n_validation: 100, seeds: 1}
""")
NETWORKS = TINY | {"sweep": [{"dataset": "digits", "n_train": 300, "seeds": 2} | ENTRY]}
KILLS = 4
CELL = "results/tiny/cells/digits-200/softmax/plain/p-none/eps-0"
RESUME = "results/tiny/resume/digits-200/softmax/plain/p-none/eps-0"
CELLS = [f"{CELL}/seed-{seed}/train.json" for seed in (0, 1)]
TABLES = ["results/tiny/metrics/test.csv", "results/tiny/metrics/validation.csv"]


def all_saved(run, states):
    """Whether each seed of a run's only job has a saved state."""
    return len([file for file in states if os.path.dirname(file) == run]) == (1 if "-200/" in run else 2)


def test_killed_at_random_moments_it_ends_as_if_it_had_not_been(tmp_path):
    """SIGKILL to all of a run, or to the training processes only; one of the kills meets a state half written."""
    whole, cut = (create(tmp_path / name / "project", NETWORKS) for name in ("whole", "cut"))
    whole.snakemake("--cores", 2, *TABLES)
    random_moment = functools.partial(random.Random(0).uniform, 0, 3)
    for number in range(KILLS):
        before, since = faults.saved(cut), time.time()
        fault = {} if number != KILLS // 2 else faults.environment(cut, "kill train.py /resume/ 2")
        process = cut.start("--cores", 2, *TABLES, "--no-hooks", **fault)
        try:
            while process.poll() is None and not faults.first_epochs(cut, since):
                time.sleep(0.1)
            process.wait(random_moment())
        except subprocess.TimeoutExpired:
            if number % 4 == 3 and not fault:
                jobs = ["pkill", "-KILL", "-g", str(process.pid), "-f", "workflow/scripts/train.py"]
                subprocess.run(jobs, check=False)
                process.communicate()
            else:
                faults.kill(process)
        assert process.returncode != 0, f"the run was over after {number} kills"
        for run, epoch in faults.first_epochs(cut, since).items():
            states = [epochs for file, epochs in before.items() if os.path.dirname(file) == run]
            assert not all_saved(run, before) or epoch > min(states), f"{run}: epoch {epoch} again, {states} were saved"
        cut.snakemake("--unlock")
    cut.snakemake("--cores", 2, *TABLES)
    found, expected = (faults.results(project, *faults.COMPARED) for project in (cut, whole))
    assert found.keys() == expected.keys()
    assert [name for name, content in found.items() if content != expected[name]] == []
    assert not (cut.folder / "results/tiny/resume").exists()


@pytest.mark.parametrize(
    ("kind", "part", "count"), [("kill", "/resume/", 1), ("kill", "model.safe", 2), ("killall", "model.safe", 2)]
)
def test_a_write_that_is_cut_off_harms_nothing(tmp_path, untouched, kind, part, count):
    """That of a state, or of the second of two networks when both are finished; killed is the job, or the run."""
    project, whole = create(tmp_path / "project", only(3)), untouched(only(3), CELLS)
    done = project.snakemake(
        "--cores", 1, *CELLS, check=False, **faults.environment(project, f"{kind} train.py {part} {count}")
    )
    assert done.returncode != 0
    told = "Error: killed (SIGKILL); where memory is short, run fewer jobs at a time (--cores)"
    assert (told in faults.errors(done)) == (kind == "kill")
    project.snakemake("--unlock")
    project.snakemake("--cores", 1, *CELLS)
    assert faults.results(project, *faults.COMPARED) == faults.results(whole, *faults.COMPARED)
    log = next((project.folder / "results/tiny/logs/train").rglob("*.log")).read_text()
    assert bool(re.search(r" epoch \d+/", log)) == (part == "/resume/"), "finished replicas are not trained again"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_says_where(tmp_path, untouched, number):
    """To the whole group, as from a terminal or a scheduler that ends a job."""
    project = create(tmp_path / "project", only(600))
    process = project.start("--cores", 1, *CELLS)
    wait_for_epoch(project, 50)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:  # Snakemake itself would wait for the job to end
        subprocess.run(["pkill", "-TERM", "-g", str(process.pid), "-f", "workflow/scripts/train.py"], check=True)
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    told = f"Interrupted by {number.name}; training is saved in {RESUME}, and the next run goes on from there"
    assert told in said.splitlines()
    states = faults.saved(project)
    assert set(states) == {f"digits-200/softmax/plain/p-none/eps-0/seed-{seed}.safetensors" for seed in (0, 1)}
    assert min(states.values()) >= 50
    since = time.time()
    project.snakemake("--cores", 1, *CELLS)
    assert list(faults.first_epochs(project, since).values()) == [min(states.values()) + 1]
    whole = untouched(only(600), CELLS)
    assert faults.results(project, *faults.COMPARED) == faults.results(whole, *faults.COMPARED)


def test_what_snakemake_did_not_book_is_not_trained_again(tmp_path):
    """A signal to its main process alone: it ends, and so does not see that the job, which goes on, is done."""
    project = create(tmp_path / "project", only(900))
    process = project.start("--cores", 1, *CELLS)
    wait_for_epoch(project, 50)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode != 0
    assert list(faults.saved(project).values()) == [900, 900]
    since = time.time()
    project.snakemake("--cores", 1, *CELLS)
    assert faults.first_epochs(project, since) == {}
    assert list(faults.saved(project).values()) == [900, 900]  # until the networks are evaluated
    project.snakemake("--cores", 1, *[cell.replace("train.json", "metrics.csv") for cell in CELLS])
    assert faults.saved(project) == {}


def wait_for_epoch(project, epoch):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        logs = (project.folder / "results/tiny/logs/train").rglob("*.log")
        if any(f" epoch {epoch}/" in log.read_text() for log in logs):
            return
        time.sleep(0.05)
    raise AssertionError("no training within a minute")


@pytest.mark.parametrize("flags", [("-F",), ("-R", "train_digits_seeds_0_to_1"), ("-f",), ("-R", CELLS[1])])
def test_forced_training_starts_afresh(tmp_path, flags):
    """The flags are seen in the main process only; without one, what is saved is gone on from."""
    project = create(tmp_path / "project", only(3))
    project.snakemake("--cores", 1, *CELLS, check=False, **faults.environment(project, "kill train.py model.safe 1"))
    assert list(faults.saved(project).values()) == [3, 3]
    since = time.time()
    project.snakemake("--cores", 1, *CELLS, *flags)
    assert list(faults.first_epochs(project, since).values()) == [1]


def test_a_state_of_other_settings_or_code_is_not_gone_on_from(tmp_path):
    project = create(tmp_path / "project", only(3))
    fault = faults.environment(project, "kill train.py model.safe 1")
    project.snakemake("--cores", 1, *CELLS, check=False, **fault)
    for change in (
        lambda: project.configure(only(3, lr=0.5)),
        lambda: project.append("gradreg/objectives/plain.py", "\nEDITED = True\n"),
    ):
        change()
        since = time.time()
        project.snakemake("--cores", 1, *CELLS, check=False, **fault)
        assert list(faults.first_epochs(project, since).values()) == [1]


# Disks, files, memory


@pytest.fixture
def mount(tmp_path):
    """Mounts that are undone in the end. Root is needed."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    done = []

    def make(folder, *arguments):
        subprocess.run(["mount", *arguments, str(folder)], check=True)
        done.append(folder)

    yield make
    for folder in reversed(done):
        subprocess.run(["umount", str(folder)], check=True)


def assert_completes(project, whole, before):
    """What was there stays as it was, and the same command ends as in a folder that nothing befell."""
    assert before.items() <= faults.results(project, *faults.COMPARED).items()
    project.snakemake("--cores", 2, *TABLES)
    assert faults.results(project, *faults.COMPARED) == faults.results(whole, *faults.COMPARED)
    assert faults.strays(project) == []


@pytest.mark.parametrize("size", ["60k", "300k", "400k"])
def test_a_full_disk(tmp_path, mount, untouched, size):
    """Whether data, a record of Snakemake's, a state or a network is what no longer fits."""
    project = create(tmp_path / "project", only(3))
    (project.folder / "results").mkdir()
    mount(project.folder / "results", "-t", "tmpfs", "-o", f"size={size}", "tmpfs")
    done = project.snakemake("--cores", 1, *TABLES, check=False)
    assert done.returncode != 0
    lines = faults.errors(done)
    told = r"Error: results/\S+: No space left on device; free some space, then give the same command again"
    assert lines
    assert all(re.fullmatch(told, line) for line in lines)
    assert "Traceback" not in done.stderr
    before = faults.results(project, *faults.COMPARED)
    subprocess.run(["mount", "-o", "remount,size=50m", project.folder / "results"], check=True)
    assert_completes(project, untouched(only(3), TABLES), before)


def test_results_that_cannot_be_written(tmp_path, mount, untouched):
    project = create(tmp_path / "project", only(3))
    project.snakemake("--cores", 1, *CELLS)
    before = faults.results(project, *faults.COMPARED)
    results = project.folder / "results"
    mount(results, "--bind", str(results))
    subprocess.run(["mount", "-o", "remount,ro,bind", results], check=True)
    done = project.snakemake("--cores", 1, check=False)
    assert done.returncode != 0
    told = f"{results}: cannot be written to; make it writable, then give the same command again"
    assert told in done.stderr.splitlines()
    assert "Traceback" not in done.stderr
    subprocess.run(["mount", "-o", "remount,rw,bind", results], check=True)
    assert_completes(project, untouched(only(3), TABLES), before)


def test_a_limit_on_the_size_of_files(tmp_path, untouched):
    """It binds root as well."""
    project = create(tmp_path / "project", only(3))
    project.snakemake("--cores", 1, "--until", "data")
    done = project.snakemake("--cores", 1, check=False, **faults.environment(project, "limit train.py 2000"))
    assert done.returncode != 0
    (line,) = faults.errors(done)
    said = r"File too large; allow larger files \(ulimit -f\), then give the same command again"
    assert re.fullmatch(rf"Error: results/tiny/cells/\S+/model\.safetensors: {said}", line)
    assert_completes(project, untouched(only(3), TABLES), {})


def test_data_that_vanish_or_are_damaged(tmp_path, untouched):
    """Between planning and the job; the next run makes them again, and nothing else twice."""
    project = create(tmp_path / "project", only(3))
    project.snakemake("--cores", 1, *CELLS)
    before, data = faults.results(project, *faults.COMPARED), project.folder / "results/data/digits.npz"
    fault = faults.environment(project, "remove evaluate.py results/data/digits.npz")
    done = project.snakemake("--cores", 1, check=False, **fault)
    assert done.returncode != 0
    assert faults.errors(done)[0] == (
        "Error: results/data/digits.npz: No such file or directory; give the same command again to recreate it"
    )
    assert before.items() <= faults.results(project, *faults.COMPARED).items()
    project.snakemake("--cores", 1, "results/data/digits.npz")
    data.write_bytes(data.read_bytes()[:20000])  # now it counts as other data, and what was trained on it as old
    done = project.snakemake("--cores", 1, check=False)
    assert faults.errors(done)[0].startswith("Error: results/data/digits.npz is damaged (")
    assert faults.errors(done)[0].endswith("): delete it, then give the same command again to recreate it")
    data.unlink()
    assert_completes(project, untouched(only(3), TABLES), {})


def test_a_lock_left_by_a_killed_run(tmp_path):
    """Snakemake says what to type, and that is all that is needed."""
    project = create(tmp_path / "project", only(3000))
    process = project.start("--cores", 1, *CELLS)
    wait_for_epoch(project, 20)
    faults.kill(process)
    project.configure(only(3))
    done = project.snakemake("--cores", 1, *CELLS, check=False)
    assert done.returncode != 0
    assert "It can be removed with the --unlock argument." in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    project.snakemake("--unlock")
    project.snakemake("--cores", 1, *CELLS)


def test_no_job_outlives_its_run(tmp_path, untouched):
    """Snakemake alone is killed: its job saves and ends, and so cannot write over what comes after."""
    project = create(tmp_path / "project", only(3000))
    process = project.start("--cores", 1, *CELLS)
    wait_for_epoch(project, 20)
    process.kill()
    left = ["pgrep", "-g", str(process.pid), "-f", "workflow/scripts/train.py"]
    assert subprocess.run(left, check=False, capture_output=True).stdout
    deadline = time.monotonic() + 10
    while subprocess.run(left, check=False, capture_output=True).stdout:
        assert time.monotonic() < deadline, "the job goes on"
        time.sleep(0.2)
    process.communicate()
    assert min(faults.saved(project).values()) >= 20
    project.configure(only(3))
    project.snakemake("--unlock")
    project.snakemake("--cores", 1, *CELLS)
    whole = untouched(only(3), CELLS)
    assert faults.results(project, *faults.COMPARED) == faults.results(whole, *faults.COMPARED)


# Numbers


def test_a_network_that_diverges_harms_no_other(tmp_path):
    """One setting of two diverges in training: it is frozen, flagged and shown; everything else is as without it."""

    def change(config, lr):
        entry = copy.deepcopy(config)
        entry["sweep"][0]["objectives"] = {
            "perturb": {"kind": "perturb"},
            "wild": {"kind": "perturb", "eps": {2: [0.2]}, "train": {"lr": lr}},
        }
        return entry

    calm, wild = (
        create(tmp_path / name, change(only(3, max_norm=None), lr)) for name, lr in (("calm", 0.9), ("wild", 1e38))
    )
    tables, figures = (f"results/tiny/{kind}/digits-300" for kind in ("tables", "figures"))
    calm.snakemake("--cores", 2, *TABLES)
    wild.snakemake("--cores", 2, *TABLES, f"{tables}/flags.md", f"{figures}/learning_curves.svg")
    found, expected = (faults.results(project, "train.json", "metrics.csv", "history.csv") for project in (wild, calm))
    differing = {name.split("/")[3] for name, content in expected.items() if found[name] != content and "cells" in name}
    assert differing == {"wild"}
    records = [content for name, content in found.items() if "/wild/" in name and name.endswith("train.json")]
    assert {(record["status"], record["diverged_in_epoch"]) for record in records} == {("diverged", 1)}
    rows = [
        line
        for name, own in found.items()
        if "/wild/" in name and "metrics" in name
        for line in own.decode().splitlines()[1:]
    ]
    assert rows
    assert all("diverged" in line for line in rows)
    assert "all, since epoch 1 of training" in (wild.folder / tables / "flags.md").read_text()
    assert "2 (epoch 1)" in (wild.folder / tables / "errors.md").read_text()
    assert "a replica diverged" in (wild.folder / figures / "learning_curves.svg").read_text()


# The same again


def test_clean_clones_agree_to_the_byte(untouched, tmp_path):
    """Whatever the number of cores and of seeds in a job."""
    project = create(tmp_path / "another clone", only(3) | {"seeds_per_job": 1})
    project.snakemake("--cores", 1, *TABLES)
    found, expected = (faults.results(own, *faults.COMPARED) for own in (project, untouched(only(3), TABLES)))
    assert len(found) > 30
    assert [name for name, content in found.items() if content != expected[name]] == []
    assert found.keys() == expected.keys()

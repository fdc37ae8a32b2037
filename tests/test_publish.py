"""What ``make publish`` copies, what it leaves alone, and what it refuses."""

import json
import os
import re
import subprocess
import sys

import pytest
from project import ROOT

from gradreg.planning import finished
from gradreg.storage import metrics


def run(project, script):
    command = [sys.executable, f"workflow/scripts/{script}"]
    environment = os.environ | {"PYTHONPATH": str(project.folder)}
    return subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True)


def publish(project):
    return run(project, "publish.py")


def test_a_finished_experiment_is_published_and_what_is_not_up_to_date_is_refused(finished):
    target = finished.folder / "results/published/tiny"
    (target / "figures/gone").mkdir(parents=True)
    (target / "notes.md").write_text("of somebody")
    networks = len(list(finished.folder.rglob("cells/**/train.json")))
    left = leave_behind(finished.folder / "results/tiny")
    done = publish(finished)
    assert done.returncode == 0, done.stderr
    names = {str(file.relative_to(target)) for file in target.rglob("*") if file.is_file()}
    assert {"config.json", "metrics/test.csv", "tables/digits-300/errors.md", "notes.md"} < names
    assert "figures/twin-300/objectives.svg" in names
    assert not any(".sha256" in name or name.endswith(".html") for name in names)
    assert not names & left
    folder = "networks/digits-300/softmax/perturb/p-2"
    assert {f"{folder}/{name}" for name in ("model.safetensors", "train.json", "README.md")} < names
    made = json.loads((target / "made.json").read_text())
    assert (made["device"], made["networks"], made["commit"]) == (["cpu"], networks, ["unknown"])
    assert made["seconds of jobs"].keys() == {"evaluate", "strong", "train", "transfer"}
    assert 0 < made["seconds of jobs"]["evaluate"] < OTHER
    assert set(made["sha256 of data"]) == {"digits", "twin"}
    check_network(finished, target, folder)
    weights = list(target.glob("networks/**/model.safetensors"))
    script = finished.folder / "workflow/scripts/publish.py"
    for limit, kept in ((sum(file.stat().st_size for file in weights) - 1, len(weights) - 1), (10, 0)):
        script.write_text(re.sub("NETWORKS = .*  #", f"NETWORKS = {limit}  #", script.read_text()))
        assert "no room for the network" in publish(finished).stdout
        assert len(list(target.glob("networks/**/model.safetensors"))) == kept
    assert not (target / "figures/gone").exists()
    before = (target / "metrics/test.csv").read_bytes()

    config = finished.folder / "results/tiny/config.json"
    asked = config.read_text()
    for old, new in (('"seeds": 2', '"seeds": 3'), ('"0.1"', '"0.11"')):  # not run again yet
        assert old in asked
        config.write_text(asked.replace(old, new))
        refused = publish(finished)
        assert "Error: results/tiny is not what its config, code and data mean now" in refused.stderr
    config.write_text(asked)
    finished.append("gradreg/reporting/plots/errors.py", "\nEDITED = True\n")
    done = publish(finished)
    assert done.returncode == 1
    assert "Error: results/tiny is not what its config, code and data mean now" in done.stderr
    assert (target / "metrics/test.csv").read_bytes() == before

    asked = (target / "config.json").read_text()
    (target / "config.json").write_text(asked.replace('"sweep":', '"swep":'))
    done = run(finished, "redraw.py")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: tiny cannot be drawn again: ")
    assert "Traceback" not in done.stderr


OTHER = 10**6  # seconds of a job of an earlier config


def leave_behind(folder):
    """Files of earlier configs: of a seed and a norm less, without noise and transfer. Their names."""
    left = {"metrics/transfer-digits-200.csv", "tables/digits-300/old.md", "figures/digits-300/old.svg"}
    left |= {"groups/digits-300/softmax/perturb/p-3/choice.json"}
    cell = "cells/digits-300/softmax/perturb/p-2/eps-7/seed-0/train.json"
    for name in (*left, cell):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    record = json.loads(next(folder.rglob("cells/**/seed-1/train.json")).read_text())
    record["versions"]["gradreg"] = "earlier"
    (folder / cell).write_text(json.dumps(record))
    job = folder / "logs/seconds/evaluate/digits-300/softmax/perturb/p-2/eps-7/seeds-0-to-0.tsv"
    job.parent.mkdir(parents=True)
    job.write_text(f"s\n{OTHER}\n")
    return left


def check_network(project, target, folder):
    """It can be loaded by its name, is that of the cell, and its card has the error that was measured."""
    record = json.loads((target / folder / "train.json").read_text())
    named = "from gradreg import load; print(load('tiny/softmax/p-2').trained_with['weights'])"
    environment = os.environ | {"PYTHONPATH": str(project.folder)}
    command = [sys.executable, "-c", named]
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == record["weights"], done.stderr
    several = subprocess.run(
        [*command[:2], named.replace("softmax/", "")], cwd="/", env=environment, capture_output=True, text=True
    )
    assert "ValueError: tiny/p-2 names" in several.stderr
    table = metrics.read(target / "metrics/test.csv").query("metric == 'error' and attack == 'none' and seed == 0")
    table = table[(table.model == "softmax") & (table.p == "2") & (table.eps == record["cell"]["eps"])]
    card = (target / folder / "README.md").read_text()
    assert f"# softmax, perturb, p = 2, eps = {record['cell']['eps']}\n" in card
    assert f"| {100 * table.value.iloc[0]:.2f} " in card
    assert record["weights"] in card


def test_the_blocks_of_an_experiment_are_those_it_was_trained_in(monkeypatch, tmp_path):
    files = [tmp_path / "0", tmp_path / "1"]
    for file, block in zip(files, ([0, 1, 2], [3, 4]), strict=True):
        file.write_text(json.dumps({"seeds_of_block": block}))
    monkeypatch.setattr(finished, "_record_files", lambda experiment: files)
    assert finished.seeds_per_job(None) == 3


PUBLISHED = ROOT / "results/published"
MEASURED = sorted(folder.parent.name for folder in PUBLISHED.glob("*/metrics"))


def redraw(name, out):
    command = [sys.executable, ROOT / "workflow/scripts/redraw.py", name, "--out", out]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)


def content(file):
    """A file without the names of clip paths: hashes of places to the last digit, which processors round otherwise."""
    return re.sub(rb"(?<=[#\"])p[0-9a-f]{10}(?=[)\"])", b"", file.read_bytes())


@pytest.mark.faults
@pytest.mark.parametrize("name", MEASURED)
def test_published_tables_and_figures_are_what_the_code_of_now_makes_of_their_measurements(tmp_path, name):
    """Otherwise: make redraw."""
    redraw(name, tmp_path)
    drawn = {
        file.relative_to(tmp_path) for file in tmp_path.rglob("*") if file.suffix in (".csv", ".md", ".tex", ".svg")
    }
    there = {
        file.relative_to(PUBLISHED) for part in ("tables", "figures") for file in (PUBLISHED / name / part).rglob("*.*")
    }
    there = {file for file in there if file.suffix != ".png"}
    assert drawn == there
    differ = [str(file) for file in sorted(drawn) if content(tmp_path / file) != content(PUBLISHED / file)]
    assert not differ

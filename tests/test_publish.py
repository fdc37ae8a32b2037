"""What ``make publish`` copies, what it leaves alone, and what it refuses."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
from project import ROOT


def publish(project):
    command = [sys.executable, "workflow/scripts/publish.py"]
    environment = os.environ | {"PYTHONPATH": str(project.folder)}
    return subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True)


def test_a_finished_experiment_is_published_and_what_is_not_up_to_date_is_refused(finished):
    target = finished.folder / "results/published/tiny"
    (target / "figures/gone").mkdir(parents=True)
    (target / "notes.md").write_text("of somebody")
    done = publish(finished)
    assert done.returncode == 0, done.stderr
    names = {str(file.relative_to(target)) for file in target.rglob("*") if file.is_file()}
    assert {"config.json", "metrics/test.csv", "tables/digits-300/errors.md", "notes.md"} < names
    assert "figures/twin-300/objectives.svg" in names
    assert not any(".sha256" in name or name.endswith(".html") for name in names)
    assert not (target / "figures/gone").exists()
    before = (target / "metrics/test.csv").read_bytes()

    finished.append("gradreg/reporting/plots/errors.py", "\nEDITED = True\n")
    done = publish(finished)
    assert done.returncode == 1
    assert "Error: results/tiny is not what its config, code and data mean now" in done.stderr
    assert (target / "metrics/test.csv").read_bytes() == before


def test_the_blocks_of_an_experiment_are_those_it_was_trained_in(tmp_path):
    spec = importlib.util.spec_from_file_location("publish", ROOT / "workflow/scripts/publish.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for block in ([0, 1, 2], [3, 4]):
        for seed in block:
            cell = tmp_path / f"cells/some/seed-{seed}"
            cell.mkdir(parents=True)
            (cell / "train.json").write_text(json.dumps({"seeds_of_block": block}))
    assert script.seeds_per_job(tmp_path) == 3


PUBLISHED = ROOT / "results/published"
MEASURED = sorted(folder.parent.name for folder in PUBLISHED.glob("*/metrics"))


def redraw(name, out):
    command = [sys.executable, ROOT / "workflow/scripts/redraw.py", name, "--out", out]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)


@pytest.mark.faults
@pytest.mark.parametrize("name", MEASURED)
def test_published_tables_and_figures_are_what_the_code_of_now_makes_of_their_measurements(tmp_path, name):
    """Otherwise: make redraw. Galleries of older runs, whose images are not published, are as they were."""
    redraw(name, tmp_path)
    drawn = {
        file.relative_to(tmp_path) for file in tmp_path.rglob("*") if file.suffix in (".csv", ".md", ".tex", ".svg")
    }
    there = {
        file.relative_to(PUBLISHED) for part in ("tables", "figures") for file in (PUBLISHED / name / part).rglob("*.*")
    }
    there = {file for file in there if file.suffix != ".png"}
    assert drawn <= there
    assert {file.stem.partition("_")[0] for file in there - drawn} <= {"gallery", "dreams"}
    differ = [str(file) for file in sorted(drawn) if (tmp_path / file).read_bytes() != (PUBLISHED / file).read_bytes()]
    assert not differ

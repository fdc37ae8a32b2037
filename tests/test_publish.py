"""What ``make publish`` copies, what it leaves alone, and what it refuses."""

import importlib.util
import json
import os
import subprocess
import sys

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

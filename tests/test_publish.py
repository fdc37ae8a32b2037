"""What ``make publish`` copies, what it leaves alone, and what it refuses."""

import os
import subprocess
import sys


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

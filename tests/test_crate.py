"""A finished experiment as a Workflow Run RO-Crate, as a library for crates reads it."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from test_publish import leave_behind


def export(project, *arguments):
    command = [sys.executable, "workflow/scripts/export_crate.py", *arguments]
    environment = os.environ | {"PYTHONPATH": str(project.folder)}
    return subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True)


def test_a_crate_says_what_made_its_files_and_has_them(finished):
    crates = pytest.importorskip("rocrate.rocrate")
    left = leave_behind(finished.folder / "results/tiny")
    done = export(finished, "tiny")
    assert done.returncode == 0, done.stderr
    file = finished.folder / done.stdout.strip()
    crate = crates.ROCrate(file)
    profiles = {profile.id for profile in crate.root_dataset["conformsTo"]}
    assert {"https://w3id.org/ro/wfrun/process/0.5", "https://w3id.org/ro/wfrun/workflow/0.5"} <= profiles
    assert crate.version == "1.1"
    assert crate.mainEntity.id == "Snakefile"
    assert crate.mainEntity["programmingLanguage"]["name"] == "Snakemake"
    assert not left & {entity.id for entity in crate.get_entities()}
    action = crate.root_dataset["mentions"]
    action = action[0] if isinstance(action, list) else action
    assert action["instrument"] is crate.mainEntity
    assert action["startTime"] <= action["endTime"]
    inputs = {entity.id for entity in action["object"]}
    assert inputs == {"config.json", "#data-digits", "#data-twin"}
    results = {entity.id: entity for entity in action["result"]}
    assert {"metrics/test.csv", "report.html", "tables/twin-300/errors.md", "figures/digits-300/noise.svg"} < set(
        results
    )
    with zipfile.ZipFile(file) as archive:
        assert set(archive.namelist()) == {*results, "config.json", "Snakefile", "ro-crate-metadata.json"}
        for name, entity in results.items():
            assert hashlib.sha256(archive.read(name)).hexdigest() == entity["sha256"]
        written = json.loads(archive.read("ro-crate-metadata.json"))
    terms = json.loads((Path(crates.__file__).parent / "data/ro-crate.jsonld").read_text())["@context"]
    keys = {key for entity in written["@graph"] for key in entity if not key.startswith("@")}
    assert keys <= terms.keys()  # of the newest RO-Crate, which the library has; those that 1.1 lacks are in the second
    assert written["@context"] == [
        "https://w3id.org/ro/crate/1.1/context",
        "https://w3id.org/ro/terms/workflow-run/context",  # defines sha256
    ]
    finished.append("gradreg/reporting/plots/errors.py", "\nEDITED = True\n")
    done = export(finished, "tiny")
    assert done.returncode == 1
    assert "Error: results/tiny is not what its config, code and data mean now" in done.stderr


def test_what_is_not_there_is_told_in_a_line(template):
    done = export(template, "gone")
    assert done.returncode == 2
    assert "there is no finished experiment gone; there are tiny" in done.stderr

"""A finished experiment, packed on one machine, is unpacked on another and extended there: docs/clusters.md."""

import re
import shlex
import subprocess

import pytest
from project import ROOT, configured, create


def commands(experiment):
    """The two commands of the page, for another experiment, as lists of words."""
    page = (ROOT / "docs" / "clusters.md").read_text()
    found = re.findall(r"^(tar .*?)(?: +#.*)?$", page, re.MULTILINE)
    assert len(found) == 2
    return [shlex.split(command.replace("mnist", experiment)) for command in found]


@pytest.mark.faults
def test_it_is_extended_without_retraining_what_it_has(template, tmp_path):
    """The other machine has a clone of its own, in another folder, all of whose files are newer."""
    pack, unpack = commands("tiny")
    first = template.copy(tmp_path / "one machine")
    subprocess.run(pack, check=True, cwd=first.folder)
    second = create(tmp_path / "another" / "clone")
    (first.folder / "tiny.tar.gz").rename(second.folder / "tiny.tar.gz")
    subprocess.run(unpack, check=True, cwd=second.folder)
    assert second.plan() == []

    second.configure(configured(lambda digits, twin: twin["eps"][2].append(0.3)))
    new = {f"p-2/eps-0.3/seed-{seed}" for seed in (0, 1)}
    planned = [job for job in second.plan() if job.stage == "train"]
    assert len(planned) == 1
    assert all(cell in planned[0].output for cell in new)
    before = {file: file.stat().st_mtime_ns for file in second.folder.rglob("model.safetensors")}
    second.snakemake("--cores", 2, "results/tiny/groups/twin-300/net/perturb/p-2/choice.json")
    after = {file: file.stat().st_mtime_ns for file in second.folder.rglob("model.safetensors")}
    assert before.items() <= after.items()
    assert all("p-2/eps-0.3" in str(file) for file in after.keys() - before.keys())

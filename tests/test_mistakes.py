"""Mistakes in configs: one line each, and where it stands."""

import contextlib
import copy
import dataclasses

import pytest
import yaml
from configs import BASE, PENALTY, edited, merged, mistakes
from hypothesis import given
from hypothesis import strategies as st
from snakemake.io import PeriodicityDetector
from wrong_configs import MISTAKES

from gradreg.planning.config import ConfigError, resolve
from gradreg.registry.datasets import DATASETS


@pytest.mark.parametrize(("changes", "line"), MISTAKES, ids=[line[-40:] for _, line in MISTAKES])
def test_each_mistake_is_one_line(extras, changes, line):
    found = mistakes(edited(**changes))
    assert len(found) == 1, found
    assert line in found[0]


def test_all_mistakes_are_told_at_once():
    config = edited(dataset="mnits", train={"epoch": 1, "lr": -1}, eps={2: ["x"], "inf": [2]})
    config["seed_per_job"] = 3
    found = mistakes(config)
    assert len(found) == 5
    assert any(line.startswith("seed_per_job: unknown key; did you mean 'seeds_per_job'?") for line in found)


@pytest.mark.parametrize(
    ("top", "message"),
    [
        ({"experiment": "bench"}, "experiment: 'bench' is a folder of results that the project uses itself"),
        ({"experiment": "records"}, "experiment: 'records' is a folder of results that the project uses itself"),
        ({"experiment": "x-smoke"}, "experiment: names that end in -smoke are those of the smoke scale; take another"),
        ({"experiment": "tiny\n"}, r"experiment: 'tiny\n' is no name; use small letters"),
        ({"experiment": "ab" + 40 * "cd-e"}, "is too long; 64 characters are the most"),
        ({"seeds_per_job": 10**400}, "seeds_per_job: is too large a number"),
    ],
)
def test_names_and_numbers_that_would_fail_later(top, message):
    assert any(message in line for line in mistakes(BASE | top))


@pytest.mark.parametrize("eps", ["1e-300", "0.1234567890123456789012345", "1e-999999999", "9" * 5000, "1" * 400 + "/3"])
def test_numbers_that_are_no_part_of_a_file_name(eps):
    for config in (edited(eps={2: [eps]}), edited(attack={"eps": {2: [0.5]}, "noise": {"gaussian": [eps]}})):
        assert len(mistakes(config)) == 1


@given(st.text("ab1-", min_size=1, max_size=4), st.integers(1, 40), st.text("ab-", max_size=3))
def test_a_name_that_is_taken_is_one_that_snakemake_takes(unit, times, end):
    """It refuses those that end in 20 equal parts."""
    name = "m" + unit * times + end
    with contextlib.suppress(ConfigError):
        resolve(edited(models={name: {"kind": "sigmoid_mlp", "units": [8]}}))
        assert PeriodicityDetector().is_periodic(name) is None


@pytest.mark.parametrize("empty", [None, [], "digits"])
def test_an_empty_or_wrong_sweep(empty):
    (line,) = mistakes({"experiment": "tiny", "sweep": empty})
    assert line.startswith("sweep: ")


def test_a_file_with_nothing_in_it():
    assert [line.split(" ")[1] for line in mistakes({})] == ["'experiment'", "'sweep'"]


def test_what_is_chosen_in_one_entry_is_not_read_on_the_test_set_in_another():
    config = copy.deepcopy(BASE)
    config["sweep"].append(copy.deepcopy(config["sweep"][0]) | {"n_train": 900, "seeds": 3})
    config["sweep"][1]["selection"] = {"n_train": 600, "n_validation": 300}
    (line,) = mistakes(config)
    assert line.startswith("sweep[0].selection.n_train: sweep[1] evaluates runs of 900 images on the test set")


def test_lines_say_file_and_line(tmp_path):
    first, second = tmp_path / "config.yaml", tmp_path / "over.yaml"
    first.write_text("experiment: tiny\nsweep:\n  - dataset: digits\n")
    second.write_text(
        "sweep:\n"
        "  - dataset: digits\n"
        "    selection: {n_train: 900, n_validation: 300}\n"
        "    models: {net: {kind: sigmoid_mlp, units: [8]}}\n"
        "    eps:\n"
        "      2: [0.1]\n"
        "      inf: [0.1, -3]\n"
        "    attack: {eps: {2: [0.5]}}\n"
        "    seeds:\n"
    )
    config = merged(yaml.safe_load(first.read_text()), yaml.safe_load(second.read_text()))
    found = mistakes(config, [first, second])
    assert found[0].startswith(f"{second}:7: sweep[0].eps.inf[1]: must be positive, not -3")
    assert found[1] == f"{second}:9: sweep[0].seeds: is empty; give it a value or remove the line"


def test_a_key_that_stands_twice_is_found(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(BASE) + "experiment: other\n")
    (line,) = mistakes(yaml.safe_load(file.read_text()), [file])
    assert "experiment: this key stands twice in one block" in line
    file.write_text(yaml.safe_dump(edited(eps=None)).replace("eps:", "eps: {2: [1], 2.0: [2]}\n    old:", 1))
    found = mistakes(yaml.safe_load(file.read_text()), [file])
    assert any("eps.2.0: this key stands twice in one block" in line for line in found)


def test_two_entries_may_not_mean_the_same_network():
    config = copy.deepcopy(BASE)
    config["sweep"].append(copy.deepcopy(config["sweep"][0]))
    (line,) = mistakes(config)
    assert line == "sweep[1].models.net: sweep[0] has a model of this name for digits with n_train = 1297"


def test_runs_of_one_size_have_one_number_of_seeds():
    config = copy.deepcopy(BASE)
    other = copy.deepcopy(config["sweep"][0]) | {"seeds": 7}
    other["models"] = {"other": other["models"]["net"]}
    config["sweep"].append(other)
    (line,) = mistakes(config)
    assert line == "sweep[1].seeds: 7, but 5 elsewhere for digits with n_train = 1297"


def test_an_entry_needs_no_eps_where_each_objective_has_its_own():
    config = edited(objectives={"gp": PENALTY})
    del config["sweep"][0]["eps"]
    resolve(config)
    config["sweep"][0]["objectives"]["fgsm"] = {"kind": "perturb"}
    (line,) = mistakes(config)
    assert line == "sweep[0].objectives.fgsm: 'eps' is missing, here or for the whole entry (p: [eps, ...])"


ATTACKED = {"eps": {2: [0.5]}, "strong": {"hard": {"attacks": ["targeted"]}}}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"transfer": {"images": 7}}, "sweep[1].transfer: {'images': 7"),
        ({"n_test": 200}, "sweep[1].n_test: 200, but 500 elsewhere for digits with n_train = 1297"),
        ({"attack": ATTACKED | {"images": 30}}, "sweep[1].attack.images: 30, but 500 elsewhere"),
        ({"attack": ATTACKED | {"steps": 3}}, "sweep[1].attack.steps: 3, but 20 elsewhere"),
        (
            {"selection": {"n_train": 900, "n_validation": 200}},
            "sweep[1].selection.n_validation: 200, but 300 elsewhere",
        ),
        (
            {"attack": ATTACKED | {"strong": {"hard": {"attacks": ["apgd_ce"]}}}},
            "sweep[1].attack.strong.hard.attacks: ['apgd_ce'], but ['targeted'] elsewhere",
        ),
    ],
)
def test_entries_of_one_study_agree_on_what_is_shown_together(change, line):
    config = edited(transfer={}, attack=ATTACKED)
    other = copy.deepcopy(config["sweep"][0])
    config["sweep"].append(other | {"models": {"more": {"kind": "sigmoid_mlp", "units": [4]}}} | change)
    found = mistakes(config)
    assert line in found[0]
    # Others that follow from it.
    assert all(".transfer: " in more or ".attack.images: " in more for more in found[1:])


def test_selection_runs_that_are_shown_together_have_the_same_settings():
    config = edited(n_train=1000, selection={"n_train": 500, "n_validation": 200})
    other = copy.deepcopy(config["sweep"][0]) | {"n_train": 900, "eps": {2: [0.1]}}
    config["sweep"].append(other)
    (line,) = mistakes(config)
    assert line.startswith(
        "sweep[1].selection.n_train: sweep[0] has selection runs of net on 500 images too, with other"
    )
    other["selection"] = {"n_train": 501, "n_validation": 200}
    resolve(config)
    other |= {"selection": {"n_train": 500, "n_validation": 200}, "objectives": {"perturb": {"kind": "perturb"}}}
    other["objectives"]["perturb"]["eps"] = {"2": [0.2, "1/10"]}  # as for the first, in other words
    resolve(config)


def test_numbers_of_images_are_compared_as_far_as_there_are_any():
    config = edited(n_test=400)
    other = copy.deepcopy(config["sweep"][0]) | {"models": {"more": {"kind": "sigmoid_mlp", "units": [4]}}}
    config["sweep"].append(other | {"attack": {"eps": {2: [0.5]}, "images": 400}})
    resolve(config)


@pytest.mark.parametrize(
    ("shape", "classes", "kind", "message"),
    [
        ((1, 8, 8), 2, "apgd_t", "apgd_t needs 4 classes or more; digits has 2"),
        ((1, 4, 64), 10, "square", "square at p = 2 cannot lay its first tiles in images of 4 x 64 pixels"),
        ((3, 2, 32), 10, "square", "square at p = 2 cannot lay its first tiles in images of 2 x 32 pixels"),
        ((1, 12, 12), 10, "square", "square at p = 2 cannot lay its first tiles in images of 12 x 12 pixels"),
        ((1, 28, 20), 10, "square", "square at p = 2 cannot lay its first tiles in images of 28 x 20 pixels"),
        ((1, 5, 64), 4, "square", None),
        ((1, 13, 13), 4, "square", None),
        ((1, 1, 1), 2, "apgd_ce", None),
    ],
)
@pytest.mark.parametrize("tier", ["others", "strong"])
def test_attacks_that_the_images_are_too_small_for(monkeypatch, shape, classes, kind, message, tier):
    small = dataclasses.replace(DATASETS["digits"], image_shape=shape, classes=classes)
    monkeypatch.setitem(DATASETS, "digits", small)
    block = {"kind": kind} if tier == "others" else {"attacks": [kind]}
    config = edited(
        eps={2: [0.1]}, gallery={"classes": []}, attack={"eps": {2: [0.5], "inf": [0.1]}, tier: {"hard": block}}
    )
    if message is None:
        resolve(config)
    else:
        (line,) = mistakes(config)
        assert message in line

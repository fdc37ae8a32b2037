"""Errors in the literature, and networks of ours beside them."""

import copy

import pandas as pd
import pytest
from scipy import stats

from gradreg.planning import report
from gradreg.planning.experiment import Experiment
from gradreg.registry import literature
from gradreg.reporting import reproduction

DENSE = {"kind": "maxout", "units": [240, 240], "pieces": 5, "keep_input": 0.8, "keep_hidden": 0.5}
ENTRY = {
    "dataset": "mnist",
    "seeds": 3,
    "selection": {"n_train": 50000, "n_validation": 10000},
    "models": {"net": DENSE},
    "objectives": {"perturb": {"kind": "perturb"}, "penalty": {"kind": "penalty"}},
    "eps": {2: [0.5], 1: [2]},
    "attack": {"eps": {2: [1]}, "noise": {"gaussian": [0.1], "gaussian_unclipped": [0.1, 0.2]}},
}
STUDY = ("mnist", 60000)


def experiment(**changes):
    return Experiment({"experiment": "some", "sweep": [copy.deepcopy(ENTRY) | changes]})


def test_every_entry_has_its_source_and_an_error():
    for dataset in ("mnist", "cifar10"):
        for entry in literature.entries(dataset):
            assert entry.source
            assert entry.error is not None or entry.attacks
    assert literature.entries("digits") == []


def test_the_tables_of_the_paper_are_there():
    errors = {(e.network, e.n_train, e.p): e.error for e in literature.entries("mnist") + literature.entries("cifar10")}
    dense, conv, small = (f"maxout, {name}dropout" for name in ("dense, ", "convolutional, ", "convolutional, small, "))
    assert [errors[dense, 60000, p] for p in ("none", "2", "inf")] == [0.94, 0.78, 0.84]
    assert [errors[conv, 60000, p] for p in ("none", "2", "inf")] == [0.45, 0.39, 0.41]
    assert [errors[small, n, p] for n in (40000, 50000) for p in ("none", "2")] == [14.05, 13.26, 12.93, 12.28]
    noisy = {(e.network, e.p): dict(e.noise) for e in literature.entries("mnist") if e.noise}
    assert noisy[dense, "2"] == {"0.1": 0.83, "0.3": 1.29}
    assert noisy[conv, "none"] == {"0.1": 0.76, "0.3": 20.17}


def test_networks_like_those_of_the_literature_stand_beside_them():
    rows = report.published(experiment(), STUDY)
    beside = [(row["objective"], row["p"], row["noise"], row["error"]) for row in rows]
    assert beside == [
        ("", "none", "", 0.94),
        ("", "none", "0.1", 1.14),
        ("perturb", "2", "", 0.78),
        ("perturb", "2", "0.1", 0.83),
    ]
    assert "reproduction" in report.figures(experiment(), STUDY)
    assert "reproduction" in report.tables(experiment(), STUDY)


@pytest.mark.parametrize(
    "changes",
    [
        {"models": {"net": DENSE | {"keep_hidden": 1.0}}},
        {"n_train": 30000, "selection": {"n_train": 20000, "n_validation": 10000}},
    ],
)
def test_others_do_not(changes):
    other = experiment(**changes)
    study = ("mnist", changes.get("n_train", 60000))
    assert report.published(other, study) == []
    assert "reproduction" not in report.figures(other, study)
    assert list(report.tables(other, study)) == ["errors", "flags"]


def measured(values, p="2", attack="none", eps=""):
    cell = {"model": "net", "objective": "plain" if p == "none" else "perturb", "p": p, "eps": "0.5", "metric": "error"}
    return [cell | {"attack": attack, "attack_eps": eps, "seed": i, "value": v / 100} for i, v in enumerate(values)]


def test_ours_are_compared_with_what_was_published():
    ours = [0.9, 0.7, 1.1, 0.8, 1.0]
    rows = measured(ours) + measured([1.5] * 5, attack="gaussian", eps="0.10")
    rows += measured([1.6] * 5, attack="gaussian_unclipped", eps="0.1") + measured(
        [9] * 5, attack="gaussian", eps="0.3"
    )
    published = [row for row in report.published(experiment(), STUDY) if row["p"] == "2"]
    table = reproduction.table(pd.DataFrame(rows), published)
    assert table.noise.tolist() == ["", "0.1, clipped", "0.1, not clipped"]
    first = table.iloc[0]
    assert (first.published, first.seeds, first.least, first.most) == (0.78, 5, pytest.approx(0.7), pytest.approx(1.1))
    assert (first["mean"], first.difference) == (pytest.approx(0.9), pytest.approx(0.12))
    # The prediction interval for one more draw of the same normal distribution.
    half = stats.t.ppf(0.975, 4) * pd.Series(ours).std() * (1 + 1 / 5) ** 0.5
    assert (first.single_low, first.single_high) == (pytest.approx(0.9 - half), pytest.approx(0.9 + half))
    text = reproduction.rounded(table)
    assert text["published within"].tolist() == ["yes", "no", "no"]
    assert text.iloc[0].tolist()[:7] == ["net", first.training, "eps = 0.5", "none", "0.78", "0.90 ± 0.20", 5]


def test_one_seed_has_no_interval():
    published = [row for row in report.published(experiment(), STUDY) if row["p"] == "2" and not row["noise"]]
    text = reproduction.rounded(reproduction.table(pd.DataFrame(measured([0.9])), published)).iloc[0]
    assert (text.ours, text["one network of ours"], text["published within"]) == ("0.90", "–", "–")

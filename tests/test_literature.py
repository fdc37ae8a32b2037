"""Errors in the literature, and networks of ours beside them."""

import copy

import jinja2
import pandas as pd
import pytest
from project import ROOT
from scipy import stats

from gradreg.planning import report
from gradreg.planning.experiment import Experiment
from gradreg.registry import literature
from gradreg.reporting import page, reproduction
from gradreg.reporting.plots.reproduction import reproduction as draw

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


def caption(experiment, study):
    """That of the table of errors."""
    captions = jinja2.Environment(loader=jinja2.FileSystemLoader(ROOT / "workflow/report"), autoescape=True)
    return page._caption(captions, "errors", report.facts(experiment, study))


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


def test_an_entry_may_need_an_objective_with_certain_settings():
    half = {"perturb": {"kind": "perturb"}, "half": {"kind": "perturb", "alpha": 0.5}}
    rows = report.in_literature(experiment(objectives=half, eps={"inf": [0.1]}), STUDY)
    assert [(row["objective"], row["error"]) for row in rows if row["p"] == "inf"] == [("half", 0.84)]


def test_an_entry_without_a_clean_error_is_compared_under_noise(monkeypatch):
    entry = literature._entry(
        "mnist",
        {"network": "some", "training": "plain", "source": "some", "p": "none", "model": DENSE, "noise": {0.1: 3}},
    )
    monkeypatch.setattr(literature, "ENTRIES", {"mnist": [entry]})
    assert [(row["noise"], row["error"]) for row in report.in_literature(experiment(), STUDY)] == [("0.1", 3.0)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"p": "plain"}, "p: 'plain' is no norm; write none, inf or a number from 1"),
        ({"error": "12,3"}, "'12,3' is no error in percent"),
        ({"error": 101}, "101 is no error in percent"),
        ({"noise": {"small": 3}}, "'small' is no size; write a positive number"),
        ({"attacks": {"inf": {0: 3}}}, "0 is no size"),
        ({"model": {"kind": "maxout", "unitz": [9]}}, "models of kind maxout have no unitz"),
        ({"model": {"kind": "maxin"}}, "no model 'maxin'"),
    ],
)
def test_what_would_never_be_compared_is_refused(changes, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        literature._entry("mnist", {"network": "some", "training": "plain", "source": "some"} | changes)


def test_networks_like_those_of_the_literature_stand_beside_them():
    rows = report.in_literature(experiment(), STUDY)
    beside = [(row["objective"], row["p"], row["noise"], row["error"]) for row in rows]
    assert beside == [
        ("", "none", "", 0.94),
        ("", "none", "0.1", 1.14),
        ("perturb", "2", "", 0.78),
        ("perturb", "2", "0.1", 0.83),
    ]
    assert "reproduction" in report.figures(experiment(), STUDY)
    assert "reproduction" in report.tables(experiment(), STUDY)
    assert "most are of other networks" in caption(experiment(), STUDY)


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
    assert report.in_literature(other, study) == []
    assert "reproduction" not in report.figures(other, study)
    assert list(report.tables(other, study)) == ["errors", "flags"]
    assert "of networks or trainings that this study does not have" in caption(other, study)


def measured(values, p="2", attack="none", eps=""):
    cell = {"model": "net", "objective": "plain" if p == "none" else "perturb", "p": p, "eps": "0.5", "metric": "error"}
    cell |= {"attack": attack, "attack_eps": eps, "flags": ""}
    return [cell | {"seed": i, "value": v / 100} for i, v in enumerate(values)]


def test_ours_are_compared_with_the_literature():
    ours = [0.9, 0.7, 1.1, 0.8, 1.0]
    rows = measured(ours) + measured([1.5] * 5, attack="gaussian", eps="0.10")
    rows += measured([1.6] * 5, attack="gaussian_unclipped", eps="0.1")
    rows += measured([9] * 5, attack="gaussian", eps="0.3")
    entries = [row for row in report.in_literature(experiment(), STUDY) if row["p"] == "2"]
    table = reproduction.table(pd.DataFrame(rows), entries)
    assert table.noise.tolist() == ["", "0.1", "0.1"]
    assert table.images.tolist() == ["", "clipped", "not clipped"]
    first = table.iloc[0]
    assert (first.literature, first.seeds, first.least, first.most) == (0.78, 5, pytest.approx(0.7), pytest.approx(1.1))
    assert (first["mean"], first.difference) == (pytest.approx(0.9), pytest.approx(0.12))
    # The prediction interval for one more draw of the same normal distribution.
    half = stats.t.ppf(0.975, 4) * pd.Series(ours).std() * (1 + 1 / 5) ** 0.5
    assert (first.single_low, first.single_high) == (pytest.approx(0.9 - half), pytest.approx(0.9 + half))
    text = reproduction.rounded(table)
    assert text["within"].tolist() == ["yes", "–", "–"], "equal errors of the seeds say nothing about a further one"
    assert text.noise.tolist() == ["none", "0.1, clipped", "0.1, not clipped"]
    assert text.iloc[0].tolist()[:7] == ["net", first.training, "eps = 0.5", "none", "0.78", "0.90 ± 0.20", 5]


def test_failed_trainings_are_counted_and_have_no_interval():
    entries = [row for row in report.in_literature(experiment(), STUDY) if row["p"] == "2" and not row["noise"]]
    rows = measured([0.9, 1.0, 1.1, 90.2])
    rows[-1]["flags"] = "no-better-than-constant:9+box-not-enough"
    table = reproduction.table(pd.DataFrame(rows), entries)
    assert table.failed.tolist() == [1]
    text = reproduction.rounded(table).iloc[0]
    assert (text.failed, text["one network of ours"], text["within"]) == (1, "–", "–")
    rows[-1]["flags"] = "box-not-enough"
    table = reproduction.table(pd.DataFrame(rows), entries)
    assert (table.failed.tolist(), table.single_low.tolist(), table.single_high.tolist()) == ([0], [0], [100])
    assert "failed" not in reproduction.rounded(table)


def test_one_seed_has_no_interval():
    entries = [row for row in report.in_literature(experiment(), STUDY) if row["p"] == "2" and not row["noise"]]
    text = reproduction.rounded(reproduction.table(pd.DataFrame(measured([0.9])), entries)).iloc[0]
    assert (text.ours, text["one network of ours"], text["within"]) == ("0.90", "–", "–")


@pytest.mark.usefixtures("close_figures")
def test_the_figure_has_a_panel_per_level_of_noise():
    rows, entries = [], []
    for p, errors in (("none", (0.94, 1.14, 2.42)), ("2", (0.78, 0.83, 1.29))):
        for level, error in zip(("", "0.1", "0.3"), errors, strict=True):
            kinds = ("gaussian", "gaussian_unclipped") if level else ("none",)
            rows += [row for kind in kinds for row in measured([1.0, 1.1, 1.3], p=p, attack=kind, eps=level)]
            network = {"model": "net", "objective": "perturb", "p": p}
            entries.append(network | {"noise": level, "error": error, "source": "some"})
    for row in rows:
        row["flags"] = "collapsed" if row["p"] == "2" and row["attack_eps"] == "0.3" else ""
    figure = draw(reproduction.table(pd.DataFrame(rows), entries))
    assert [ax.get_title() for ax in figure.axes] == ["test images", "Gaussian noise 0.1", "Gaussian noise 0.3"]
    lines = [line for ax in figure.axes for line in ax.lines]
    stars = [line.get_xdata()[0] for line in lines if line.get_marker() == "*"]
    assert stars == [0.94, 0.78, 1.14, 0.83, 2.42, 1.29]
    hollow = [line for line in lines if line.get_marker() == "o" and line.get_markerfacecolor() == "white"]
    assert len(hollow) == 4
    assert len([line for line in lines if line.get_marker() == "s"]) == 2  # framed: clipped and not
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["literature", "ours", "ours, not clipped", "flagged: see the table of flags"]

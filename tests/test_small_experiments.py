"""Experiments at the edges of sizes, from data to report in one process. Long: ``make test-faults`` runs it."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from given import export
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from project import ROOT

from gradreg.planning import report
from gradreg.planning.config import ConfigError
from gradreg.planning.experiment import Experiment
from gradreg.planning.jobs import Jobs, group_wildcards
from gradreg.planning.numerals import to_path
from gradreg.registry.datasets import DATASETS
from gradreg.storage import npz
from gradreg.storage.files import read_json, write_json

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("close_figures")]

SIZES = st.fixed_dictionaries(
    {
        "shape": st.sampled_from([(1, 1, 1), (1, 4, 64), (3, 2, 32), (2, 7, 3), (1, 8, 8)]),
        "classes": st.sampled_from([2, 3, 10]),
        "n_train": st.integers(1, 30),
        "n_validation": st.integers(1, 10),
        "n_test": st.integers(1, 20),
        "images": st.integers(1, 20),
        "seeds": st.sampled_from([1, 2, 5]),
        "selection_seeds": st.sampled_from([1, 3]),
        "epochs": st.integers(1, 2),
        "lr": st.sampled_from([0.1, 1e38]),
        "weights": st.sampled_from([0.05, 1e-30]),
        "model": st.sampled_from(["maxout", "sigmoid_mlp"]),
        "norms": st.lists(st.sampled_from([1, 1.3, 2, 4, "inf"]), min_size=1, max_size=3, unique=True),
        "together": st.lists(st.sampled_from(["worst-norm", "average-norm", "random-norm"]), max_size=2, unique=True),
        "given": st.booleans(),
        "patience": st.booleans(),
        "strong": st.sampled_from([{}, {"hard": ["targeted"]}, {"hard": ["targeted", "apgd_ce", "apgd_t", "square"]}]),
    }
)


# A network whose patience watches an attack, and so has a column more in its history, beside one without a patience.
WATCHED = {"shape": (1, 8, 8), "classes": 3, "n_train": 30, "n_validation": 10, "n_test": 20, "images": 10}
WATCHED |= {"seeds": 2, "selection_seeds": 1, "epochs": 2, "lr": 0.1, "weights": 0.05, "model": "maxout", "norms": [2]}
WATCHED |= {"together": [], "given": False, "patience": True, "strong": {}}


def config(sizes):
    model = {"kind": "maxout", "units": [4], "pieces": 2, "init": sizes["weights"]}
    if sizes["model"] == "sigmoid_mlp":
        model = {"kind": "sigmoid_mlp", "units": [4]}
    entry = {
        "dataset": "digits",
        "n_train": sizes["n_train"] + sizes["n_validation"],
        "seeds": sizes["seeds"],
        "selection": {
            "n_train": sizes["n_train"],
            "n_validation": sizes["n_validation"],
            "seeds": sizes["selection_seeds"],
        },
        "models": {"net": model},
        "objectives": {"perturb": {"kind": "perturb"}, "penalty": {"kind": "penalty"}},
        "eps": {p: [0.1] for p in sizes["norms"]},
        "train": {"epochs": sizes["epochs"], "batch_size": 20, "lr": sizes["lr"], "max_norm": None},
        "attack": {
            "images": sizes["images"],
            "steps": 2,
            "eps": {p: [0.05, 0.1] for p in sizes["norms"]},
            "noise": {"gaussian": [0.1]},
            "strong": {name: {"attacks": kinds, "images": 2} for name, kinds in sizes["strong"].items()},
        },
    }
    if len(sizes["norms"]) > 1:  # all of them together
        every = {"+".join(map(str, sizes["norms"])): [[0.1] * len(sizes["norms"])]}
        entry["objectives"] |= {kind: {"kind": kind.replace("-", "_"), "eps": every} for kind in sizes["together"]}
        joined = {"p": next(iter(every)), "eps": [0.05] * len(sizes["norms"])}
        entry["selection"]["by"] = {"attack": "multi_step", **joined}
    if sizes["patience"]:
        entry["models"]["patient"] = {**model, "train": {"patience": 1}}
        entry["selection"].setdefault("by", {"attack": "multi_step", "p": sizes["norms"][0], "eps": 0.05})
    entry["gallery"] = {"classes": [0, 1]}
    if sizes["given"]:
        entry["networks"] = {"theirs": {"file": "theirs.pt2", "model": "net"}}
    return {"experiment": "small", "device": "cpu", "sweep": [entry]}


def run(name, *arguments):
    """A script of the workflow, in this process."""
    location = ROOT / "workflow" / "scripts" / f"{name}.py"
    script = importlib.util.module_from_spec(importlib.util.spec_from_file_location(name, location))
    script.__spec__.loader.exec_module(script)
    before, sys.argv = sys.argv, [str(location), *map(str, arguments)]
    try:
        script.main()
    finally:
        sys.argv = before


def wildcards(run):
    names = {"dataset": run.dataset, "n_train": f"{run.n_train}", "model": run.model, "objective": run.objective}
    return names | {"p": to_path(run.p), "eps": to_path(run.eps)}


def networks(jobs, of_run, data):
    """Train and evaluate the networks of a run; the folders of their cells."""
    plan, names = jobs.experiment.plan(of_run), wildcards(of_run)
    cells = [Path(jobs.root, "cells", cell) for cell in of_run.cells(plan.seeds)]
    on = ("--data", data, "--device", "cpu")
    if of_run.given:
        run("take_network", *on[:2], "--settings", jobs.settings("take")(names), "--cell", *cells)
    else:
        run("train", *on, "--settings", jobs.settings("train")(names), "--cells", *cells)
    run("evaluate", *on, "--settings", jobs.settings("evaluate")(names), "--cells", *cells)
    for name, (_, seeds) in plan.strong.items():
        strong = ("--settings", jobs.settings("strong", name)(names), "--strong", name)
        run("evaluate", *on, *strong, "--cells", *cells[:seeds])
    return cells


def whole(experiment, data):
    """Every job of an experiment, by the scripts that the rules call."""
    choices = {}
    jobs = Jobs(experiment, choices.get)
    root = Path(jobs.root)
    trained = {of_run: networks(jobs, of_run, data) for of_run in experiment.selection}
    tables = {"validation": [], "history": [], "test": []}
    for cells in trained.values():
        tables["validation"] += [cell / "metrics.csv" for cell in cells]
        tables["history"] += [cell / "history.csv" for cell in cells]
    final, outcomes, galleries = {}, [], []
    for group in experiment.groups:
        names, folder = group_wildcards(group), root / "groups" / group.path
        candidates = ("--candidates", *jobs.candidate_settings(names), "--by", jobs.criterion(names))
        run("choose_setting", *candidates, "--out", folder / "choice.json")
        choices[group] = read_json(folder / "choice.json")
        chosen = experiment.final_run(group, choices[group])
        final[chosen] = final.get(chosen) or networks(jobs, chosen, data)
        tables["test"] += [Path(file) for file in jobs.final_files(names, "csv")]
        parts = jobs.final_files(names, "npz")
        run("join_outcomes", "--about", jobs.run_names(names), "--out", folder / "outcomes.npz", *parts)
        outcomes.append(folder / "outcomes.npz")
        gallery = ("--settings", jobs.settings("gallery")(names), "--record", final[chosen][0] / "train.json")
        run("make_gallery", "--data", data, *gallery, "--out", folder / "gallery.npz", "--device", "cpu")
        galleries.append(folder / "gallery.npz")
    for name, files in tables.items():
        run("join_tables", "--out", root / "metrics" / f"{name}.csv", *dict.fromkeys(files))
    (study,) = experiment.studies
    about = report.arguments(experiment, study)
    test, validation, history = (root / "metrics" / f"{name}.csv" for name in ("test", "validation", "history"))
    folder = "{}-{}".format(*study)
    measured = ("--test", test, "--validation", validation)
    run("make_table", *measured, "--outcomes", *outcomes, *about, "--out", root / "tables" / folder)
    shown = ("--history", history, "--galleries", *galleries, "--out", root / "figures" / folder)
    run("plot_figures", *report.figures(experiment, study), *measured, *shown, *about)
    write_json(root / "config.json", experiment.settings)
    page = ("--template", ROOT / "workflow" / "report" / "page.html", "--out", root / "report.html")
    run("write_report", "--config", root / "config.json", *page)


@given(SIZES, st.integers(0, 99))
@example(WATCHED, 0)
@settings(max_examples=4, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
def test_an_experiment_of_any_size_ends_in_a_report_or_is_refused_at_once(tmp_path_factory, sizes, seed):
    folder = tmp_path_factory.mktemp("small")
    generator = np.random.default_rng(seed)
    total = {"train": sizes["n_train"] + sizes["n_validation"], "test": sizes["n_test"]}
    arrays = {"top": np.int64(255), "classes": np.int64(sizes["classes"])}
    for part, n in total.items():
        arrays[f"{part}_images"] = generator.integers(0, 256, (n, *sizes["shape"]), np.uint8)
        arrays[f"{part}_labels"] = generator.integers(0, sizes["classes"], n, np.uint8)
    npz.write(folder / "data.npz", arrays)
    spec = replace(
        DATASETS["digits"],
        image_shape=sizes["shape"],
        classes=sizes["classes"],
        n_train=total["train"],
        n_test=total["test"],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        layers = torch.nn.Flatten(), torch.nn.Linear(int(np.prod(sizes["shape"])), sizes["classes"])
        export(torch.nn.Sequential(*layers), sizes["shape"], "theirs.pt2")
        patch.setitem(DATASETS, "digits", spec)
        try:
            experiment = Experiment(config(sizes))
        except ConfigError:  # what is said is held by other tests
            return
        whole(experiment, folder / "data.npz")
        assert "What was found" in (folder / "results/small/report.html").read_text()

"""Figures of transfer and galleries."""

import itertools
import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from drawings import panels, y_names

from gradreg.reporting.plots import images, style, transfer
from gradreg.storage import metrics

pytestmark = pytest.mark.usefixtures("close_figures")


def transfers(*objectives):
    """Two networks, plain and p = 2, two seeds, and plain ones on the halves."""
    plain, *regularised = ("plain", "none", "0"), *((objective, "2", "0.5") for objective in objectives)
    settings = itertools.product(("net", "other"), (plain, *regularised), (0, 1))
    networks = [(model, *setting, "100", seed) for model, setting, seed in settings]
    networks += [("net", *plain, images, seed) for images in ("50", "50from50") for seed in (0, 1)]
    rows = []
    for source, target in itertools.product(networks, networks):
        for metric, value in (("error", 0.5), ("cosine", 0.3)) if source[-1] == 0 else ():
            value = 1.0 if source == target else value
            rows.append(("digits", 100, *source, *target, "2", "0.5", metric, value, 20))
    names = ("model", "objective", "p", "eps", "images", "seed")
    sides = [f"{side}_{name}" for side in ("source", "target") for name in names]
    return pd.DataFrame(rows, columns=["dataset", "n_train", *sides, "attack_p", "attack_eps", "metric", "value", "n"])


def test_transfer_says_what_differs_and_the_matrix_compares_seeds(tmp_path):
    metrics.write(tmp_path / "t.csv", transfers("perturb"))
    table = metrics.read(tmp_path / "t.csv")
    ax = panels(transfer.transfer(table))[0]
    assert y_names(ax) == [*transfer.PAIRS, "trained with p = 2"]
    marks = dict(zip(ax.lines[0].get_ydata().round().astype(int), ax.lines[0].get_xdata(), strict=False))
    assert marks[0] == 100
    assert marks[1] == marks[3] == marks[5] == 50
    ax = panels(transfer.transfer_matrix(table))[0]
    assert y_names(ax) == [f"{model}, {training}" for model in ("net", "other") for training in ("plain", "p = 2")]
    assert ax.images[0].get_array().shape == (4, 4)
    assert (ax.images[0].get_array() == 50).all()  # even the same training differs in its seed


def test_transfer_tells_objectives_apart():
    table = transfers("perturb", "noise")
    assert y_names(panels(transfer.transfer(table))[0])[-2:] == [
        f"trained with {o}, p = 2" for o in ("perturb", "noise")
    ]
    assert y_names(panels(transfer.transfer_matrix(table))[0])[:2] == ["net, plain", "net, perturb, p = 2"]


def test_one_network_and_one_seed_have_a_transfer_too():
    table = transfers("perturb")
    alone = table[(table.source_model == "net") & (table.target_model == "net") & (table.target_seed == 0)]
    assert len(panels(transfer.transfer(alone.query("source_images == '100' and target_images == '100'")))) == 2


def test_galleries_show_a_row_per_training(tmp_path):
    paths = []
    for model, p in itertools.product(("net", "other"), ("none", "2")):
        cell = {"model": model, "objective": "plain" if p == "none" else "perturb", "p": p, "eps": "0.5"}
        x = np.random.default_rng(0).random((2, 1, 4, 4)).astype("float32")
        arrays = {"x": x, "y": np.array([1, 2]), "answer": np.array([1, 2]), "confidence": np.ones(2)}
        arrays |= {"x_2": x, "answer_2": np.array([0, 2]), "confidence_2": np.ones(2), "dream_start": x[:1]}
        arrays |= {"dream": x[[0, 1, 0]], "dream_class": np.arange(3), "dream_confidence": np.ones(3)}
        paths.append(tmp_path / f"{model}-{p}.npz")
        about = np.array(json.dumps({"cell": cell, "eps": {"2": "0.5"}}))
        np.savez(paths[-1], about=about, dream_distance=np.ones(3), **arrays)
    gallery, dreams = images.gallery(paths, "net"), images.dreams(paths, "net")
    assert len(gallery.axes) == 2 * 2 * 3
    assert len(dreams.axes) == 2 * 4
    assert dreams.axes[1].get_title() == "class 0"
    assert dreams.axes[4].get_ylabel() == r"p = 2, $\epsilon$ = 0.5"
    assert gallery.get_size_inches()[0] <= style.TEXT_WIDTH
    assert len(plt.get_fignums()) == 2

"""Measurements of a network whose answers are known."""

import numpy as np
import pytest
import torch
from torch import nn

from gradreg import evaluation, metrics
from gradreg.data.arrays import Split

IMAGES = torch.randint(0, 256, (40, 1, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
ATTACK = {"images": 30, "steps": 3, "eps": {"2": ["0.1", "0.5"], "inf": ["8/255"]}}


@pytest.fixture
def network():
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval().requires_grad_(False)
    net[1].weight.copy_(torch.randn(3, 16, generator=torch.Generator().manual_seed(1)))
    return net


def split(network):
    """Ten of forty labels are wrong."""
    labels = network(IMAGES.float() / 255).argmax(1)
    labels[:10] = (labels[:10] + 1) % 3
    return Split(IMAGES, labels, 255, 3)


def table(rows):
    """(attack, p, eps, metric) -> row."""
    return {(row["attack"], row["attack_p"], row["attack_eps"], row["metric"]): row for row in rows}


def test_rows_cover_the_grid_and_count_their_images(network):
    rows = table(evaluation.evaluate(network, split(network), ATTACK))
    assert rows["none", "", "", "error"] | {"value": 0.25, "n": 40} == rows["none", "", "", "error"]
    for attack in ("one_step", "multi_step"):
        for p, eps in (("2", "0.1"), ("2", "0.5"), ("inf", "8/255")):
            assert rows[attack, p, eps, "error"]["n"] == 30
            assert 1 / 3 <= rows[attack, p, eps, "error"]["value"] <= 1
            assert 1 / 3 <= rows[attack, p, eps, "confidence"]["value"] <= 1
    assert rows["one_step", "2", "0.5", "error"]["value"] >= rows["one_step", "2", "0.1", "error"]["value"]
    assert len(rows) == 3 + 3 + 2 * 3 * 2


def test_gradient_norms_are_means_over_images(network):
    own = split(network)
    rows = table(evaluation.evaluate(network, own, ATTACK))
    x, weight = own.pixels(slice(0, 30)), network[1].weight
    probability = network(x).softmax(1)
    gradient = (probability - torch.eye(3)[own.labels[:30]]) @ weight
    for q, order in (("1", 1), ("2", 2), ("inf", float("inf"))):
        expected = gradient.norm(order, dim=1).mean().item()
        assert rows["none", "", "", f"gradient_norm_{q}"]["value"] == pytest.approx(expected, rel=1e-5)


def test_confidence_is_the_largest_probability(network):
    own = split(network)
    rows = table(evaluation.evaluate(network, own, ATTACK))
    expected = network(own.pixels()).softmax(1).amax(1).mean().item()
    assert rows["none", "", "", "confidence"]["value"] == pytest.approx(expected)


def test_a_network_without_finite_answers_has_rows_without_values(network):
    network[1].bias.fill_(float("nan"))
    rows = table(evaluation.evaluate(network, split(network), ATTACK))
    assert rows["none", "", "", "loss"]["value"] is None
    assert rows["none", "", "", "error"]["n"] == 40


def test_a_network_in_training_mode_is_refused(network):
    with pytest.raises(ValueError, match="training mode"):
        evaluation.evaluate(network.train(), split(network.eval()) and split(network.train()), ATTACK)


def test_a_gallery_shows_typical_images_and_the_answers(network):
    own = split(network)
    label = int(own.labels.mode().values)
    shown = evaluation.gallery(network, own, [label], {"2": "0.5"}, 3)
    mine = own.pixels()[own.labels == label]
    nearest = (mine.flatten(1) - mine.flatten(1).mean(0)).norm(dim=1).argmin()
    assert torch.equal(shown["x"][0], mine[nearest])
    assert shown["answer_2"] == network(shown["x_2"]).argmax(1)
    assert (shown["x_2"] - shown["x"]).norm() <= 0.5 + 1e-5


def test_tables_survive_a_file(tmp_path):
    cell = dict(zip(metrics.CELL, ("digits", 10, "net", "perturb", "inf", "8/255", 3), strict=True))
    rest = dict(zip(metrics.MEASUREMENT, ("test", "none", "", "", "loss", None, 5, ""), strict=True))
    metrics.write(tmp_path / "a.csv", [cell | rest, cell | rest | {"value": 0.125, "p": "none", "flags": "diverged"}])
    table = metrics.read_all([tmp_path / "a.csv"] * 2)
    assert len(table) == 4
    assert table.p.tolist() == ["inf", "none"] * 2
    assert table.eps.tolist() == ["8/255"] * 4
    assert np.isnan(table.value[0])
    assert table.value[1] == 0.125
    assert table["flags"].tolist() == ["", "diverged"] * 2

"""Measurements of a network whose answers are known."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from gradreg import registry
from gradreg.attacks.noise import noisy
from gradreg.attacks.steepest import multi_step
from gradreg.data.splits import Split
from gradreg.evaluation import measure as evaluation
from gradreg.planning.specs import AttackSpec, StrongAttackSpec, grid, numerals
from gradreg.storage import metrics

INF = math.inf
IMAGES = torch.randint(0, 256, (40, 1, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
ATTACK = AttackSpec(
    images=30,
    steps=3,
    batch_size=20,
    eps=grid({"2": ["0.1", "0.5"], "inf": ["8/255"]}),
    noise={"gaussian": numerals(["0.1", "0.5"]), "uniform": numerals(["0.3"])},
)


def split(network):
    """Ten of forty labels are wrong."""
    labels = network(IMAGES.float() / 255).argmax(1)
    labels[:10] = (labels[:10] + 1) % 3
    return Split(IMAGES, labels, 255, 3)


def table(rows):
    """(attack, p, eps, metric) -> row."""
    return {(row["attack"], row["attack_p"], row["attack_eps"], row["metric"]): row for row in rows}


def test_rows_cover_the_grid_and_count_their_images(network):
    rows = table(evaluation.evaluate(network, split(network), ATTACK).rows)
    assert rows["none", "", "", "error"] | {"value": 0.25, "n": 40} == rows["none", "", "", "error"]
    for attack in ("one_step", "multi_step"):
        for p, eps in (("2", "0.1"), ("2", "0.5"), ("inf", "8/255")):
            assert rows[attack, p, eps, "error"]["n"] == 30
            assert 1 / 3 <= rows[attack, p, eps, "error"]["value"] <= 1
            assert 1 / 3 <= rows[attack, p, eps, "confidence"]["value"] <= 1
    assert rows["one_step", "2", "0.5", "error"]["value"] >= rows["one_step", "2", "0.1", "error"]["value"]
    # as they are; gradient, alignment, share of zeros, what is explained; noise; linearisation; attacks; their checks;
    # the union
    assert len(rows) == 3 + 6 + 3 + 3 * 2 + 2 * 3 * 2 + 2 * 3 + 2


def test_in_the_union_an_image_counts_where_any_attack_succeeds(network):
    """At the eps of the same place of each grid; none where one of the norms has no such place."""
    images = split(network)
    measured = evaluation.evaluate(network, images, ATTACK)
    rows = table(measured.rows)
    for attack in ("one_step", "multi_step"):
        either = measured.outcomes[f"{attack}|2|0.1"] | measured.outcomes[f"{attack}|inf|8/255"]
        assert torch.equal(measured.outcomes[f"{attack}|2+inf|0.1+8/255"], either)
        row = rows[attack, "2+inf", "0.1+8/255", "error"]
        assert (row["value"], row["n"]) == (pytest.approx(either.double().mean().item()), 30)
        assert {key[2] for key in rows if key[:2] == (attack, "2+inf")} == {"0.1+8/255"}
    alone = evaluation.evaluate(network, images, replace(ATTACK, eps=grid({"2": ["0.1"]})))
    assert not [key for key in alone.outcomes if "+" in key]


def test_a_strong_attack_has_a_union_too_beside_that_of_the_usual_attack(network):
    images = split(network)
    eps = grid({"2": ["0.3"], "inf": ["0.1"]})
    settings = StrongAttackSpec(["targeted"], images=20, steps=3, batch_size=100, eps=eps)
    measured = evaluation.strong(network, images, settings, "hard")
    either = measured.outcomes["hard|2|0.3"] | measured.outcomes["hard|inf|0.1"]
    rows = table(measured.rows)
    assert rows["hard", "2+inf", "0.3+0.1", "error"]["value"] == pytest.approx(either.double().mean().item())
    x, y = images.pixels(slice(0, 20)), images.labels[:20]
    by_usual = [evaluation.wrong(network, multi_step(network, x, y, p, e, 3), y) for p, e in ((2, 0.3), (INF, 0.1))]
    share = (by_usual[0] | by_usual[1]).double().mean().item()
    assert rows["hard", "2+inf", "0.3+0.1", "error_of_multi_step"]["value"] == pytest.approx(share)


def test_gradient_norms_are_means_over_images(network):
    images = split(network)
    rows = table(evaluation.evaluate(network, images, ATTACK).rows)
    x, weight = images.pixels(slice(0, 30)), network[1].weight
    probability = network(x).softmax(1)
    gradient = (probability - torch.eye(3)[images.labels[:30]]) @ weight
    for q, order in (("1", 1), ("2", 2), ("inf", float("inf"))):
        expected = gradient.norm(order, dim=1).mean().item()
        assert rows["none", "", "", f"gradient_norm_{q}"]["value"] == pytest.approx(expected, rel=1e-5)


def test_confidence_is_the_largest_probability(network):
    images = split(network)
    rows = table(evaluation.evaluate(network, images, ATTACK).rows)
    expected = network(images.pixels()).softmax(1).amax(1).mean().item()
    assert rows["none", "", "", "confidence"]["value"] == pytest.approx(expected)


def test_a_network_without_finite_answers_has_rows_without_values(network):
    network[1].bias.fill_(float("nan"))
    rows = table(evaluation.evaluate(network, split(network), ATTACK).rows)
    assert rows["none", "", "", "loss"]["value"] is None
    assert rows["none", "", "", "error"]["n"] == 40


def test_a_network_in_training_mode_is_refused(network):
    with pytest.raises(ValueError, match="training mode"):
        evaluation.evaluate(network.train(), split(network.eval()) and split(network.train()), ATTACK)


def test_outcomes_are_the_errors_image_by_image(network):
    images = split(network)
    measured = evaluation.evaluate(network, images, ATTACK)
    rows = table(measured.rows)
    assert torch.equal(measured.outcomes["none||"], network(images.pixels()).argmax(1) != images.labels)
    for key, wrong in measured.outcomes.items():
        assert rows[(*key.split("|"), "error")]["value"] == pytest.approx(wrong.double().mean().item())
    assert (measured.outcomes["none||"][:30] <= measured.outcomes["multi_step|2|0.5"]).all()


def test_what_is_misclassified_is_not_attacked(network, monkeypatch):
    seen = []
    monkeypatch.setattr(registry, "function", lambda *_: lambda net, x, y, p, eps, **_: seen.append((x, y)) or x)
    evaluation.evaluate(network, split(network), ATTACK)
    assert seen
    for x, y in seen:
        assert len(x) <= ATTACK.batch_size
        assert torch.equal(network(x).argmax(1), y)


def test_the_rise_of_a_linear_loss_is_what_its_gradient_predicts():
    """One logit, x @ w, and another of 0: for margins far below 0 the cross-entropy is linear in x."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).eval().requires_grad_(False)
    net[1].weight.copy_(torch.stack([torch.linspace(-1, 2, 16), torch.zeros(16)]))
    net[1].bias.copy_(torch.tensor([100.0, 0.0]))
    images = Split(IMAGES, torch.ones(40, dtype=torch.long), 255, 2)
    rows = table(evaluation.evaluate(net, images, ATTACK).rows)
    for p, eps in (("2", "0.5"), ("inf", "8/255")):
        rise, predicted = (rows["steepest", p, eps, metric]["value"] for metric in ("rise", "predicted_rise"))
        assert rise == pytest.approx(predicted, rel=1e-4)


def test_noise_is_of_its_size_and_the_same_for_all():
    x, draws = torch.full((200, 1, 8, 8), 0.5), torch.Generator()
    gaussian = noisy(x, "gaussian", 0.1, draws.manual_seed(1)) - x
    assert gaussian.std().item() == pytest.approx(0.1, rel=0.02)
    uniform = noisy(x, "uniform", 0.3, draws.manual_seed(1)) - x
    assert uniform.abs().max() <= 0.3
    assert uniform.std().item() == pytest.approx(0.3 / 3**0.5, rel=0.02)
    wide = noisy(x, "gaussian", 5.0, draws.manual_seed(1))
    assert ((wide >= 0) & (wide <= 1)).all()
    assert torch.equal(wide, noisy(x, "gaussian", 5.0, draws.manual_seed(1)))
    free = noisy(x, "gaussian_unclipped", 5.0, draws.manual_seed(1))
    assert torch.equal(free.clamp(0, 1), wide)
    assert free.min() < 0
    assert free.max() > 1
    with pytest.raises(KeyError, match="salt"):
        noisy(x, "salt", 0.1, draws)


def test_each_strong_attack_is_given_what_stood_those_before(network, monkeypatch):
    images, seen = split(network), []

    def attack(kind):
        """It turns the first image that it gets into one that is answered wrongly."""

        def run(net, x, y, p, eps, **_):
            seen.append((kind, len(x)))
            moved = x.clone()
            rest = images.pixels()
            moved[0] = rest[network(rest).argmax(1) != y[0]][0]
            return moved

        return run

    monkeypatch.setattr(registry, "function", lambda section, kind: attack(kind))
    settings = StrongAttackSpec(["apgd_ce", "square"], images=20, steps=3, batch_size=100, eps=grid({"2": ["4"]}))
    measured = evaluation.strong(network, images, settings, "hard")
    assert seen == [("apgd_ce", 10), ("square", 9)]  # ten of the first twenty are wrong as they are
    rows = table(measured.rows)
    assert [rows["hard", "2", "4", f"error{after}"]["value"] for after in ("_after_apgd_ce", "_after_square", "")] == [
        0.55,
        0.6,
        0.6,
    ]
    assert measured.outcomes["hard|2|4"].sum() == 12
    usual = multi_step(network, images.pixels(slice(0, 20)), images.labels[:20], 2.0, 4.0, 3)
    missed = (network(usual).argmax(1) != images.labels[:20]).double().mean().item()
    assert rows["hard", "2", "4", "error_of_multi_step"]["value"] == missed


def test_a_minimum_norm_attack_gives_the_whole_curve(network, monkeypatch):
    """Of an attack that always goes 0.3 in the 2-norm, to no avail for one image."""
    images = split(network)
    y = images.labels

    def attack(net, x, labels, p, **_):
        step = torch.zeros_like(x)
        step[:, 0, 0, 0] = torch.where(x[:, 0, 0, 0] > 0.5, -0.3, 0.3)
        return x + step

    monkeypatch.setattr(registry, "function", lambda *_: attack)
    moved = attack(None, images.pixels(), y, 2.0)
    fooled = network(moved).argmax(1) != y
    settings = StrongAttackSpec(["fmn"], images=40, steps=3, batch_size=100, eps=grid({"2": ["0.2", "0.4"]}))
    rows = table(evaluation.strong(network, images, settings, "near").rows)
    assert rows["near", "2", "0.2", "error"]["value"] == 0
    assert rows["near", "2", "0.4", "error"]["value"] == pytest.approx(fooled.double().mean().item())
    assert rows["near", "2", "", "distance"]["value"] is None  # the median is of an image that was not fooled


def test_tables_survive_a_file(tmp_path):
    cell = dict(zip(metrics.CELL, ("digits", 10, "net", "perturb", "inf", "8/255", 3), strict=True))
    rest = dict(zip(metrics.MEASUREMENT, ("test", "none", "", "", "loss", None, 5, ""), strict=True))
    metrics.write(tmp_path / "a.csv", [cell | rest, cell | rest | {"value": 0.125, "p": "none", "flags": "diverged:2"}])
    table = metrics.read_all([tmp_path / "a.csv"] * 2)
    assert len(table) == 4
    assert table.p.tolist() == ["inf", "none"] * 2
    assert table.eps.tolist() == ["8/255"] * 4
    assert np.isnan(table.value[0])
    assert table.value[1] == 0.125
    assert table["flags"].tolist() == ["", "diverged:2"] * 2

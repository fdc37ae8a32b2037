"""Transfer between linear networks, where everything is known."""

import linear
import pytest
import torch

from gradreg.data.splits import Split
from gradreg.evaluation.transfer import Member, transfer
from gradreg.planning.numerals import Numeral
from gradreg.planning.specs import TransferSpec


def test_a_perturbation_fools_its_own_network_and_its_copy_and_not_the_opposite():
    net, p, distance = linear.network(2), 2.0, 0.05
    x, y = linear.points(net, p, distance)
    images = (x * 255).round().to(torch.uint8)
    split = Split(images, y, 255, 2)
    # The opposite gradient, and the same answers at distance 0.05 from the boundary: only steps along it go wrong.
    across = linear.network(2)
    with torch.no_grad():
        other = torch.zeros_like(across[1].weight)
        other[:, : linear.SIDE] = 1e-6
        across[1].weight.copy_(net[1].weight + other)
    members = [Member({"seed": 0}, net), Member({"seed": 1}, across)]
    rows = transfer(members, [0], split, TransferSpec(len(x), 5, 10, {Numeral("2"): Numeral("0.1")}))
    values = {(row["target_seed"], row["metric"]): row["value"] for row in rows}
    assert values[0, "clean_error"] == values[1, "clean_error"] == 0
    assert values[0, "error"] == values[1, "error"] == 1
    assert values[0, "cosine"] == pytest.approx(1)
    assert values[1, "cosine"] == pytest.approx(1, abs=1e-3)
    assert {row["n"] for row in rows} == {len(x)}
    assert {(row["source_seed"], row["attack_p"], row["attack_eps"]) for row in rows} == {(0, "2", "0.1")}


def test_orthogonal_networks_do_not_fool_each_other():
    torch.manual_seed(0)
    members = []
    for seed in (0, 1):
        net = linear.network(2)
        with torch.no_grad():
            net[1].weight.zero_()
            net[1].weight[1, seed] = 1.0
            net[1].bias.copy_(torch.tensor([0.0, -0.5]))
        members.append(Member({"seed": seed}, net))
    images = torch.randint(100, 156, (30, 1, 6, 6), dtype=torch.uint8)
    images[:, 0, 0, 0] = images[:, 0, 0, 1] = 150
    split = Split(images, torch.ones(30, dtype=torch.long), 255, 2)
    rows = transfer(members, [0, 1], split, TransferSpec(30, 3, 30, {Numeral("inf"): Numeral("0.2")}))
    values = {(row["source_seed"], row["target_seed"], row["metric"]): row["value"] for row in rows}
    assert values[0, 0, "error"] == values[1, 1, "error"] == 1
    assert values[0, 1, "error"] == values[1, 0, "error"] == 0
    assert values[0, 1, "cosine"] == pytest.approx(0, abs=1e-9)

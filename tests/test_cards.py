"""Model cards of published networks, from synthetic metrics."""

import pandas as pd
import pytest
from synthetic import measurements

from gradreg.reporting import cards

RECORD = {
    "training": {"model": {"kind": "maxout"}, "objective": {"kind": "perturb"}, "recipe": {"epochs": 2}},
    "versions": {"gradreg": "abc", "torch": "2"},
    "device": "cpu",
    "status": "completed",
    "weights": "0123",
}


def test_the_errors_of_a_card_are_those_of_its_data_and_size():
    sizes = [measurements(n_train=n) for n in (100, 300)]
    others = [sizes[1].assign(dataset="twin"), sizes[1].assign(value=1.0)]
    others[1]["n_train"] = 1000
    test = pd.concat([*sizes, *others])
    cell = {
        "dataset": "digits",
        "n_train": 300,
        "model": "net",
        "objective": "perturb",
        "p": "2",
        "eps": "0.5",
        "seed": 0,
    }
    card = cards.card("sizes", "digits-300/net/perturb/p-2", RECORD | {"cell": cell}, test)
    of_cell = sizes[1][(sizes[1].model == "net") & (sizes[1].p == "2") & (sizes[1].attack == "none")]
    errors = of_cell[of_cell.metric == "error"].value * 100
    assert "digits, 300 training images" in card
    rows = [line for line in card.splitlines() if line.startswith("| none")]
    assert len(rows) == 1
    assert f"| {errors.iloc[0]:.2f} | 50 " in " ".join(rows[0].split())
    assert f"| {errors.mean():.2f} ± " in rows[0]
    assert rows[0].split("|")[-2].strip() == "3"


CELL = {
    "dataset": "cifar10",
    "n_train": 40000,
    "model": "net",
    "objective": "perturb",
    "p": "2",
    "eps": "0.2",
    "seed": 0,
}
ALL = ["apgd_ce", "apgd_t", "fab_t", "square"]


@pytest.mark.parametrize(
    ("changed", "kinds", "p", "eps", "threat"),
    [
        ({}, ALL, "inf", "8/255", "Linf"),
        ({}, ["targeted", *ALL], "2", "1/2", "L2"),
        ({}, ALL[:3], "inf", "8/255", None),  # not all of AutoAttack
        ({}, ALL, "inf", "4/255", None),
        ({}, ALL, "1", "12", None),
        ({"dataset": "mnist"}, ALL, "2", "0.5", None),
    ],
)
def test_fields_of_robustbench_where_its_threat_models_apply(changed, kinds, p, eps, threat):
    cell = CELL | changed
    measured = [("none", "", "", 0.125, 10000, ""), ("standard", p, eps, 0.5, 1000, "square-stronger")]
    columns = ["attack", "attack_p", "attack_eps", "value", "n", "flags"]
    ours = pd.DataFrame(measured, columns=columns).assign(**cell, metric="error")
    test = pd.concat([ours, ours.assign(seed=1, value=0.25), ours.assign(p="inf", value=0.75)])
    entries = cards.robustbench(RECORD | {"cell": cell}, test, {"standard": kinds})
    assert list(entries) == ([threat] if threat else [])
    for entry in entries.values():
        assert (entry["dataset"], entry["clean_acc"], entry["autoattack_acc"]) == ("cifar10", "87.50", "50.00")
        assert entry["eps"] == {"Linf": "8/255", "L2": "0.5"}[threat]
        assert "first 1000 test images" in entry["footnote"]
        assert entry["unreliable"]

"""Model cards of published networks, from synthetic metrics."""

import pandas as pd
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

"""Tables of README and docs against the published files that they come from."""

import json

import pytest
from published import PUBLISHED, cell, errors, flagged, heading, table_of

from gradreg.storage import metrics


def test_the_table_of_the_readme_is_that_of_the_published_experiment():
    """Without noisy images that were clipped, as the paper's were most likely not."""
    table = metrics.read(PUBLISHED / "paper-dense/tables/mnist-60000/reproduction.csv")
    expected = [
        [row.model, row.training, row.noise or "–", f"{row.literature:.2f}", f"{row.mean:.2f} ± {row.half:.2f}"]
        for row in table[table.images != "clipped"].itertuples()
    ]
    assert table_of("README.md", "network") == expected


def test_the_table_of_mnist_is_that_of_the_published_experiment():
    table = errors("mnist/tables/mnist-60000")
    columns = ["test error, %", *(heading(table, "apgd", norm) for norm in ("L1", "L2", "Linf"))]
    expected = []
    for row in table.to_dict("records"):
        eps = "–" if row["training"] == "plain" else row["setting"].removeprefix("eps = ")
        expected.append([row["training"], eps, *(cell(row[column]) for column in columns)])
    assert table_of("docs/results.md", "training") == expected


def test_the_table_of_the_default_experiment_is_that_of_the_published_one():
    table = errors("quickstart/tables/digits-1297")
    columns = ["test error, %", *(heading(table, "multi-step", norm) for norm in ("L1", "L2", "Linf"))]
    settings = {
        "plain": "no weight decay",
        "plain-decay-3e-4": "weight decay 3e-4",
        "plain-decay-3e-3": "weight decay 3e-3",
    }
    expected = []
    for row in table.to_dict("records"):
        strong = [row[heading(table, "apgd", norm)] for norm in ("L1", "L2", "Linf")]
        shown = "–" if "–" in strong else " / ".join(f"{float(value):.0f}" for value in strong)
        chosen = settings.get(row["setting"], row["setting"].replace("eps = ", "eps "))
        expected.append([row["model"], row["training"], chosen, *(cell(row[column]) for column in columns), shown])
    assert table_of("docs/results.md", "network") == expected


@pytest.mark.parametrize(
    ("study", "first"), [("paper-dense", "dense network"), ("paper-conv", "convolutional network")]
)
def test_tables_of_the_page_of_reproduction_are_those_of_published_experiments(study, first):
    table = metrics.read(PUBLISHED / study / "tables/mnist-60000/reproduction.csv")
    expected = [
        [
            row.model,
            row.training,
            row.setting.removeprefix("eps = ") if "eps" in row.setting else "–",
            f"{row.noise}, {row.images}" if row.noise else "none",
            f"{row.literature:.2f}",
            f"{row.mean:.2f} ± {row.half:.2f}",
            f"{row.least:.2f} to {row.most:.2f}",
            f"{row.difference:+.2f}",
            "–" if row.single_low == "" else f"{float(row.single_low):.2f} to {float(row.single_high):.2f}",
        ]
        for row in table.itertuples()
    ]
    assert table_of("docs/reproduction.md", first) == expected


def test_the_table_of_the_page_of_objectives_is_that_of_the_published_experiment():
    """But for the cost of a step, which is measured apart."""
    table = errors("objectives/tables/mnist-60000")
    columns = ["test error, %", *(heading(table, "multi-step", norm) for norm in ("L2", "Linf"))]
    expected = set()
    for row in table.to_dict("records"):
        name, _, p = row["training"].partition(", p = ")
        chosen = (
            row["setting"].removeprefix("eps = ").replace("plain-decay", "weight decay").replace("decay-", "decay ")
        )
        expected.add((name, p, chosen, *(cell(row[column]) for column in columns)))
    assert {tuple(row[:-1]) for row in table_of("docs/objectives.md", "objective")} == expected


def test_the_table_of_rivals_is_that_of_the_published_experiment():
    table = errors("rivals/tables/mnist-60000")
    costs = json.loads((PUBLISHED / "bench/rivals.json").read_text())["steps"]["dense maxout, 100 units"]["costs"]
    labels = {"trades": "trades, 3 steps"}
    columns = ["test error, %", *(heading(table, "targeted", norm) for norm in ("L2", "Linf", "any norm"))]
    expected = []
    for row in table.to_dict("records"):
        name, _, p = row["training"].partition(", p = ")
        chosen = row["setting"].removeprefix("eps = ").replace("plain-decay-", "weight decay ")
        cost = f"{costs[f'{labels.get(name, name)}, p = {p}, float32']['cost']['median']:.2f}" if p else "1"
        expected.append([name, p, chosen, *(cell(row[column]) for column in columns), cost])
    assert table_of("docs/objectives.md", "rival") == expected


def test_the_table_of_small_samples_is_that_of_the_published_experiment():
    names = ["plain", "perturb, p = 2", "perturb, p = inf", "noise-gaussian, p = 2", "penalty, p = 2"]
    expected = []
    for size in (100, 1000, 10000, 60000):
        rows = errors(f"small-samples/tables/mnist-{size}").set_index("training")
        cells = [cell(rows.loc[name, "test error, %"]) for name in names]
        strengths = [rows.loc[name, "setting"].removeprefix("eps = ") for name in names[1:]]
        shown = [f"{value} ({eps})" for value, eps in zip(cells[1:], strengths, strict=True)]
        expected.append([str(size), cells[0], *shown])
    assert table_of("docs/objectives.md", "images | plain") == expected


def test_the_table_of_the_page_of_norms_is_that_of_the_published_experiment():
    table = errors("norms/tables/mnist-40000")
    columns = ["test error, %", *(heading(table, "targeted", norm) for norm in ("L1", "L2", "Linf", "any norm"))]
    expected = []
    for row in table.to_dict("records"):
        chosen = row["setting"].removeprefix("eps = ").replace("plain-decay-", "weight decay ")
        expected.append([row["training"], chosen, *(cell(row[column]) for column in columns)])
    assert table_of("docs/norms.md", "training") == expected


def test_the_table_of_the_page_of_one_step_is_that_of_the_published_experiment():
    table = errors("one-step/tables/mnist-10000")
    columns = ["test error, %", *(heading(table, "multi-step", norm) for norm in ("L1", "L2", "Linf", "any norm"))]
    expected = [[row["training"], *(flagged(row[column]) for column in columns)] for row in table.to_dict("records")]
    assert table_of("docs/one-step.md", "training") == expected

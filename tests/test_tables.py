"""Tables of errors, comparisons and flags, from synthetic metrics, and their formats."""

import itertools

import numpy as np
import pandas as pd
from synthetic import measurements, with_flags

from gradreg.reporting import significance, summaries, tables
from gradreg.reporting.summaries import PLAIN, Training


def test_the_table_has_a_row_per_network_with_intervals():
    table = tables.errors(measurements())
    assert table.training.map(str).tolist() == ["plain", "p = 1", "p = 2", "p = inf"] * 2
    assert table.setting.tolist()[:4] == ["plain", "eps = 2", "eps = 0.5", "eps = 8/255"]
    assert table["error, %, multi-step L2 eps = 0.5"].str.fullmatch(r"\d\d\.\d\d ± \d\.\d\d").all()
    assert (table.seeds == 3).all()
    assert "diverged" not in table
    values = 100 * measurements().query("model == 'net' and p == '2' and attack == 'none' and metric == 'error'").value
    expected = tables.interval(values.mean(), summaries.half_width(values.tolist()))
    assert table["test error, %"][2] == expected


def test_diverged_replicas_are_counted():
    table = tables.errors(measurements(diverged=[("net", "inf", 0), ("net", "inf", 2)]))
    assert table.diverged.tolist() == ["", "", "", "2 (epoch 3)", "", "", "", ""]


def test_flagged_values_are_marked_and_listed():
    test = with_flags(measurements())
    table = tables.errors(test)
    assert table["error, %, hard Linf eps = 0.1"].str.endswith(tables.FLAG).all()
    assert not table["error, %, hard L2 eps = 0.5"].str.contains(tables.FLAG).any()
    flags = tables.signs(test, measurements(n_train=80, part="validation"))
    assert set(flags.sign) == {"square-stronger"}
    assert set(flags["in"]) == {"hard Linf"}
    assert set(flags.seeds) == {"3 of 3"}


def test_without_a_flag_the_table_says_so():
    assert tables.signs(measurements(), measurements()).sign.tolist() == [tables.NO_SIGN]


def test_errors_in_the_literature_stand_below_with_their_source():
    table = tables.errors(measurements().assign(dataset="mnist"))
    assert table["test error, %"].tolist()[-3:] == ["0.94", "0.84", "0.45"]
    assert table.source.tolist()[:8] == [""] * 8
    assert table.source.str.contains("Goodfellow").sum() == 3


def test_formats_of_the_table():
    table = pd.DataFrame({"a, %": ["<x>"], "b": [f"1 ± 2{tables.BETTER}"]})
    assert tables.to_markdown(table) == "| a, % | b |\n| --- | --- |\n| <x> | **1 ± 2 *** |\n"
    page = tables.to_html({"what it is": table}, "title")
    assert "&lt;x&gt;" in page
    assert "<b>1 ± 2 *</b>" in page
    assert "what it is" in page
    latex = tables.to_latex(table)
    assert r"a, \% & b \\" in latex
    assert r"<x> & \textbf{1 $\pm$ 2 *} \\" in latex
    assert "http" not in page
    assert tables.interval(1.234, float("nan")) == "1.23"
    assert tables.interval(float("nan"), float("nan")) == "–"


def outcomes(test, better):
    """Outcomes of 400 images, 20 % wrong; of those in ``better`` none."""
    generator = np.random.default_rng(0)
    found = {}
    for model, training in itertools.product(("net", "other"), map(Training, ("none", "1", "2", "inf"))):
        for seed in range(5):
            wrong = generator.random((7, 400)) < (0.0 if (model, training) in better else 0.2)
            keys = [f"{a}|{p}|{e}" for a, p, e, _ in tables.measured(test)]
            found[model, training, seed] = dict(zip(keys, wrong, strict=False))
    return found


def test_only_what_differs_from_plain_after_holms_correction_is_bold():
    test = measurements(seeds=5)
    compared = tables.comparisons(test, outcomes(test, {("other", Training("2"))}))
    assert len(compared) == 2 * 3 * 3  # regularised networks times errors
    assert (compared.p_holm >= compared.p_value).all()
    table = tables.errors(test, compared)
    marked = table[table["test error, %"].str.contains(tables.BETTER, regex=False)]
    assert list(zip(marked.model, marked.training, strict=True)) == [("other", Training("2"))]
    assert len([line for line in tables.to_markdown(table).splitlines() if "**" in line]) == 1


def test_a_worse_network_is_no_winner_and_few_seeds_are_not_compared():
    test = measurements(seeds=5)
    own = outcomes(test, {("net", PLAIN)})
    worse = tables.comparisons(test, own)
    assert (worse[worse.model == "net"].p_holm < 0.05).all()
    assert not tables.errors(test, worse)["test error, %"].str.contains(tables.BETTER, regex=False).any()
    few = {key: value for key, value in own.items() if key[2] < significance.FEWEST - 1}
    assert tables.comparisons(test, few).empty
    assert not tables.errors(test, tables.comparisons(test, few)).astype(str).map(lambda t: "*" in t).any(axis=None)

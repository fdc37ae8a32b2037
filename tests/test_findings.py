"""The sentences that open a report, from synthetic metrics."""

import pandas as pd
from synthetic import measurements, with_flags

from gradreg.reporting import findings, tables
from gradreg.reporting.summaries import Training

NONE = pd.DataFrame(columns=[*tables.COMPARED, "p_holm"])


def said(test, compared=NONE):
    return [sentence.replace("\u00a0", " ") for sentence in findings.by_model(test, compared)["net"]]


def with_error(test, p, attack, value):
    rows = (test.p == p) & (test.attack == attack) & (test.metric == "error")
    return test.assign(value=test.value.where(~rows, value))


def test_plain_may_be_best():
    test = with_error(with_error(measurements(seeds=5), "none", "none", 0.01), "none", "multi_step", 0.1)
    clean, attacked, _ = said(test)
    assert clean.startswith(
        "The test error is 1.00 % for plain training and, among regularised trainings, least for p = "
    )
    assert "the least error is that of plain training in L2, eps = 0.5 (10 %, plain 10 %)" in attacked


def test_differences_are_those_of_the_comparisons():
    test = with_error(measurements(seeds=5), "2", "none", 0.02)
    rows = [
        ("net", Training(p), "test error, %", 500, 5, -3.0, -4.0, -2.0, 0.001, holm)
        for p, holm in (("2", 0.01), ("1", 0.2))
    ]
    clean, *_ = said(test, pd.DataFrame(rows, columns=NONE.columns))
    assert clean.endswith("least for p = 2, 2.00 %; p = 2: fewer than plain with P < 0.05 after Holm's correction.")
    clean, *_ = said(test, pd.DataFrame(rows[1:], columns=NONE.columns))
    assert "no training has significantly fewer errors than plain" in clean
    assert said(test)[0].endswith("with so few seeds the two are not compared.")


def test_flags_that_cast_doubt_are_counted_and_divergence_is_none():
    trusted = said(measurements(seeds=5, diverged=[("net", "2", 0)]))[2]
    assert trusted.startswith("No network has a flag that casts doubt on its robustness; no stronger attack was run")
    doubted = said(with_flags(measurements(seeds=5)))[2]
    assert doubted.startswith("20 of 20 networks have a flag that casts doubt on them (square-stronger)")

"""Intervals over seeds, and the trainings of a table."""

import math

import pandas as pd
import pytest
from synthetic import measurements

from gradreg.reporting import summaries
from gradreg.reporting.summaries import Training


def test_the_half_width_is_students():
    # Student's quantile for two degrees of freedom is 4.302653; the standard error of 1, 2, 3 is 1 / sqrt(3).
    assert summaries.half_width([1, 2, 3]) == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert math.isnan(summaries.half_width([1]))


def names(table):
    return [str(training) for training in sorted(set(table.training))]


def test_trainings_are_named_and_ordered():
    table = summaries.with_training(measurements())
    assert names(table) == ["plain", "p = 1", "p = 2", "p = inf"]
    several = measurements().replace({"objective": {"perturb": "other"}})
    both = summaries.with_training(pd.concat([measurements(), several]))
    in_order = [f"{name}, p = {p}" for name in ("perturb", "other") for p in ("1", "2", "inf")]
    assert names(both) == ["plain", *in_order]  # of the table, not of the alphabet
    ordered = ["none", "4/3", "2", "10", "inf"]
    assert [training.p for training in sorted(Training(p) for p in reversed(ordered))] == ordered


def test_no_name_makes_a_training_plain():
    """Neither an objective that is called plain nor one with a comma in its name is taken for something else."""
    table = measurements().replace({"objective": {"perturb": "plain, p = 1"}})
    assert names(summaries.with_training(table)) == ["plain", "p = 1", "p = 2", "p = inf"]
    both = summaries.with_training(pd.concat([table, table.replace({"objective": {"plain, p = 1": "plain"}})]))
    assert [training.plain for training in sorted(set(both.training))] == [True] + [False] * 6

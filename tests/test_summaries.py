"""Intervals over seeds, and the trainings of a table."""

import math

import pandas as pd
import pytest
from synthetic import measurements

from gradreg.reporting import summaries


def test_the_half_width_is_students():
    # Student's quantile for two degrees of freedom is 4.302653; the standard error of 1, 2, 3 is 1 / sqrt(3).
    assert summaries.half_width([1, 2, 3]) == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert math.isnan(summaries.half_width([1]))


def test_trainings_are_named_and_ordered():
    table = summaries.with_training(measurements())
    assert summaries.training_order(table) == ["plain", "p = 1", "p = 2", "p = inf"]
    several = measurements().replace({"objective": {"perturb": "other"}})
    both = summaries.with_training(pd.concat([measurements(), several]))
    assert summaries.training_order(both)[:3] == ["plain", "other, p = 1", "other, p = 2"]

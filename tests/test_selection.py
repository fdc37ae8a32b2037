"""The choice among settings."""

import pytest

from gradreg.reporting import selection


def test_the_least_mean_error_wins_and_the_first_of_equals():
    assert selection.choose([[0.2, 0.4], [0.1, 0.3], [0.0, 0.5]]) == 1
    assert selection.choose([[0.1, 0.3], [0.3, 0.1], [0.2, 0.2]]) == 0
    assert selection.choose([[0.1 + 0.2], [0.3]]) == 0  # equal but for rounding
    for wrong in ([], [[0.1], []]):
        with pytest.raises(ValueError, match="cannot compete"):
            selection.choose(wrong)

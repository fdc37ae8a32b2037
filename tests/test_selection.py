"""The choice among settings."""

import pytest
from synthetic import measurements

from gradreg.planning.attacked import CLEAN, Criterion
from gradreg.reporting import selection


def test_the_least_mean_error_wins_and_the_first_of_equals():
    assert selection.choose([[0.2, 0.4], [0.1, 0.3], [0.0, 0.5]]) == 1
    assert selection.choose([[0.1, 0.3], [0.3, 0.1], [0.2, 0.2]]) == 0
    assert selection.choose([[0.1 + 0.2], [0.3]]) == 0  # equal but for rounding
    for wrong in ([], [[0.1], []]):
        with pytest.raises(ValueError, match="cannot compete"):
            selection.choose(wrong)


def test_settings_compete_by_one_error_without_or_under_attack():
    table = measurements()
    clean, attacked = (selection.errors(table, by) for by in (CLEAN, Criterion("multi_step", "2", "0.5")))
    assert set(clean.attack) == {"none"}
    assert set(attacked[["attack", "attack_p", "attack_eps"]].itertuples(index=False, name=None)) == {
        ("multi_step", "2", "0.5")
    }
    assert set(clean.metric) == set(attacked.metric) == {"error"}
    assert len(clean) == len(attacked) == 2 * 4 * 3

"""Errors in the literature."""

from gradreg.reporting import literature


def test_every_value_has_its_source():
    assert all(value.source for value in literature.values("mnist"))
    attacked = [(value.p, value.eps, value.error) for value in literature.attacked("mnist")]
    assert attacked == [("inf", "0.25", 89.4), ("inf", "0.25", 17.9)]
    assert [value.error for value in literature.clean("mnist")] == [0.94, 0.84, 0.45]
    assert literature.values("digits") == []

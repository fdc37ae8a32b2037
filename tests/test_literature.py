"""Errors in the literature."""

from gradreg.reporting import literature


def test_every_value_has_its_source():
    values = literature.values("mnist")
    assert {(value.p, value.eps, value.error) for value in values if value.p} == {
        ("inf", "0.25", 89.4),
        ("inf", "0.25", 17.9),
    }
    assert all(value.source for value in values)
    assert literature.values("digits") == []

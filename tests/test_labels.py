"""Numbers as configs spell them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradreg.planning import numerals as labels


@pytest.mark.parametrize(
    ("written", "label"),
    [
        (0.1, "0.1"),
        ("0.10", "0.1"),
        ("1e-3", "0.001"),
        (1e-05, "0.00001"),
        (0.30000000000000004, "0.30000000000000004"),
        (1, "1"),
        (1.0, "1"),
        ("+2.50", "2.5"),
        (".5", "0.5"),
        ("8/255", "8/255"),
        (" 8 / 255 ", "8/255"),
        (math.inf, "inf"),
        (".inf", "inf"),
        ("Inf", "inf"),
        (100, "100"),
        ("1E2", "100"),
        (0, "0"),
    ],
)
def test_one_spelling_per_number(written, label):
    assert labels.canonical(written) == label
    assert labels.canonical(label) == label
    assert labels.from_path(labels.to_path(label)) == label
    assert "/" not in labels.to_path(label)


@pytest.mark.parametrize("written", ["a", "", "1/0", "1/2/3", "-1", "nan", None, True, [1], "0x10", "1_000"])
def test_what_is_no_number_is_refused(written):
    with pytest.raises(ValueError, match="is not a number"):
        labels.canonical(written)


@given(st.floats(0, 1e9, allow_nan=False))
def test_floats_survive(number):
    assert labels.parse(labels.canonical(number)) == number


def test_parse():
    assert labels.parse("8/255") == 8 / 255
    assert labels.parse("inf") == math.inf
    assert labels.parse("0.1") == 0.1


def test_labels_are_ordered_as_numbers():
    assert labels.by_number(["inf", "2", "10", "8/255", "2"]) == ["8/255", "2", "10", "inf"]
    assert labels.middle(["1", "4", "2"]) == "2"
    assert labels.middle(["1", "4", "2", "8"]) == "4"

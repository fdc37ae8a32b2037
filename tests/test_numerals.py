"""Numbers as configs spell them."""

import copy
import json
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradreg.planning import numerals
from gradreg.planning.numerals import Numeral


@pytest.mark.parametrize(
    ("written", "spelling"),
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
        ("16/510", "8/255"),
        ("1/5", "0.2"),
        ("4/3", "4/3"),
        ("510/255", "2"),
        ("1/64", "0.015625"),
        (math.inf, "inf"),
        (".inf", "inf"),
        ("Inf", "inf"),
        (100, "100"),
        ("1E2", "100"),
        (0, "0"),
    ],
)
def test_one_spelling_per_number(written, spelling):
    assert Numeral(written) == spelling
    assert Numeral(spelling) == spelling
    assert numerals.from_path(numerals.to_path(spelling)) == spelling
    assert "/" not in numerals.to_path(spelling)


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(1, 10**3))
def test_equal_fractions_are_spelled_alike(above, below, factor):
    """And like the decimal number, where that is short: no result is computed twice."""
    number = Numeral(f"{above}/{below}")
    assert number == Numeral(f"{factor * above}/{factor * below}")
    assert number.value == pytest.approx(above / below, rel=1e-15)
    assert ("/" in number) == (10**6 % Fraction(above, below).denominator != 0)


@pytest.mark.parametrize("written", ["1e-999999999", "1e999999999"])
def test_what_no_float_holds_is_refused_in_no_time(written):
    with pytest.raises(ValueError, match="is too"):
        Numeral(written)


@pytest.mark.parametrize("written", ["a", "", "1/0", "1/2/3", "-1", "nan", None, True, [1], "0x10", "1_000"])
def test_what_is_no_number_is_refused(written):
    with pytest.raises(ValueError, match="is not a number"):
        Numeral(written)


@given(st.floats(0, 1e9, allow_nan=False))
def test_floats_survive(number):
    assert Numeral(number).value == number


def test_a_numeral_is_its_text_and_knows_its_number():
    """Through copies and JSON too: parsed once, written as it was."""
    numeral = copy.deepcopy({Numeral("8/255"): [Numeral(0.10)]})
    assert json.dumps(numeral) == '{"8/255": ["0.1"]}'
    ((p, (eps,)),) = numeral.items()
    assert (p.value, eps.value, numeral["8/255"]) == (8 / 255, 0.1, ["0.1"])


def test_parse():
    assert numerals.parse("8/255") == 8 / 255
    assert numerals.parse("inf") == math.inf
    assert numerals.parse("0.1") == 0.1


def test_numerals_are_ordered_as_numbers():
    assert numerals.by_number(["inf", "2", "10", "8/255", "2"]) == ["8/255", "2", "10", "inf"]
    assert numerals.middle(["1", "4", "2"]) == "2"
    assert numerals.middle(["1", "4", "2", "8"]) == "4"


def test_several_numerals_joined_come_after_single_ones():
    joined = numerals.joined(map(Numeral, ["1", "2", "inf"]))
    assert joined == "1+2+inf"
    assert numerals.members(joined) == ["1", "2", "inf"]
    assert numerals.is_joined(joined)
    assert not numerals.is_joined("inf")
    assert numerals.by_number(["inf", joined, "2", "1+2"]) == ["2", "inf", "1+2", joined]
    assert numerals.middle(["8+1+8/255", "12+1.5+16/255", "4+2+4/255"]) == "8+1+8/255"

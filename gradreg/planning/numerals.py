"""Numbers as a config spells them: one spelling per number, safe in paths, and parsed once."""

import math
import re
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

Text = TypeVar("Text", bound=str)
NUMBER = re.compile(r"[+]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
FRACTION = re.compile(r"\s*(\d+)\s*/\s*(\d+)\s*")
LARGEST = 10**300
JOIN = "+"
PLACES = 6  # after the point: fractions that need no more are spelled as decimals
INFINITY = {"inf", ".inf", "+.inf", "infinity"}


class Numeral(str):
    """A non-negative number in its one spelling, the text, with its ``value``: "8/255" and 0.0314.

    Takes what YAML makes of a number: int, float or str. Raises ValueError for anything else.
    """

    value: float

    def __new__(cls, written: object) -> "Numeral":
        """The number that ``written`` spells."""
        numeral = super().__new__(cls, canonical(written))
        numeral.value = math.inf if numeral == "inf" else float(Fraction(numeral))
        return numeral


def canonical(written: object) -> str:
    """The one spelling of a non-negative number: "0.1" for 0.1, "0.10", 1e-1 and 1/10; "8/255" for 16/510; "inf".

    Raises as ``Numeral``.
    """
    if isinstance(written, bool) or not isinstance(written, int | float | str):
        raise ValueError(f"{written!r} is not a number")
    text = repr(written) if isinstance(written, float) else str(written).strip()
    if text.lower() in INFINITY:
        return "inf"
    fraction = FRACTION.fullmatch(text)
    if fraction and int(fraction[2]) > 0:
        lowest = Fraction(int(fraction[1]), int(fraction[2]))
        if lowest > LARGEST:
            raise ValueError(f"{written!r} is too large")
        if 10**PLACES % lowest.denominator:
            return str(lowest)
        text = format(Decimal(lowest.numerator) / lowest.denominator, "f")
    if not NUMBER.fullmatch(text):
        raise ValueError(f"{written!r} is not a number")
    if math.isinf(float(text)):
        raise ValueError(f"{written!r} is too large")
    if float(text) == 0 and Decimal(text):
        raise ValueError(f"{written!r} is too small")
    plain = format(Decimal(text), "f")
    return (plain.rstrip("0").rstrip(".") if "." in plain else plain).lstrip("+") or "0"


def parse(text: str) -> float:
    """The number that a text, such as a cell of a table, spells; of several, the first. Raises as ``Numeral``."""
    return members(text)[0].value


def joined(numerals: Iterable[Numeral]) -> str:
    """Several norms, or the eps of each, as one text: "1+2+inf", "4+1.5+0.1"."""
    return JOIN.join(numerals)


def members(text: str) -> list[Numeral]:
    """The numbers that a text made by ``joined`` joins; a number alone is the only one. Raises as ``Numeral``."""
    return [text] if isinstance(text, Numeral) else [Numeral(part) for part in text.split(JOIN)]


def is_joined(text: str) -> bool:
    """Whether a text stands for several norms, or for the eps of each."""
    return JOIN in text.strip(JOIN)


def to_path(text: str) -> str:
    """A numeral as part of a file name: 8/255 becomes 8of255."""
    return text.replace("/", "of")


def from_path(text: str) -> str:
    """Undo ``to_path``."""
    return text.replace("of", "/")


def by_number(texts: Iterable[Text]) -> list[Text]:
    """Numerals, each once, in the order of the numbers; several joined after single ones."""
    return sorted(set(texts), key=lambda text: (is_joined(text), *map(parse, members(text))))


def middle(texts: Iterable[Text]) -> Text:
    """The middle one of some numerals, the larger of two."""
    ordered = by_number(texts)
    return ordered[len(ordered) // 2]

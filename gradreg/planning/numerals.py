"""Numbers as they are written in a config: one spelling per number, safe in paths, parsed in one place."""

import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

NUMBER = re.compile(r"[+]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
FRACTION = re.compile(r"\s*(\d+)\s*/\s*(\d+)\s*")
INFINITY = {"inf", ".inf", "+.inf", "infinity"}


def canonical(written: object) -> str:
    """The one spelling of a non-negative number: "0.1" for 0.1, "0.10" and 1e-1; "8/255" as it is; "inf".

    Takes what YAML makes of it: int, float or str. Raises ValueError for anything else.
    """
    if isinstance(written, bool) or not isinstance(written, int | float | str):
        raise ValueError(f"{written!r} is not a number")
    text = repr(written) if isinstance(written, float) else str(written).strip()
    if text.lower() in INFINITY:
        return "inf"
    fraction = FRACTION.fullmatch(text)
    if fraction and int(fraction[2]) > 0:
        return f"{int(fraction[1])}/{int(fraction[2])}"
    if not NUMBER.fullmatch(text):
        raise ValueError(f"{written!r} is not a number")
    if math.isinf(float(text)):
        raise ValueError(f"{written!r} is too large")
    plain = format(Decimal(text), "f")
    return (plain.rstrip("0").rstrip(".") if "." in plain else plain).lstrip("+") or "0"


def parse(label: str) -> float:
    """The number that a label stands for. Raises ValueError for what ``canonical`` refuses."""
    label = canonical(label)
    return math.inf if label == "inf" else float(Fraction(label))


def to_path(label: str) -> str:
    """The label as part of a file name: 8/255 becomes 8of255."""
    return label.replace("/", "of")


def from_path(text: str) -> str:
    """Undo ``to_path``."""
    return text.replace("of", "/")


def numbers(objective: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an objective with the labels among them, p, eps and h, as numbers."""
    return {key: parse(value) if key in ("p", "eps", "h") else value for key, value in objective.items()}


def by_number(labels: Iterable[str]) -> list[str]:
    """Labels of numbers, each once, in the order of the numbers."""
    return sorted(set(labels), key=parse)


def outcome(attack: str, p: str, eps: str) -> str:
    """The name under which it is kept what a network answered wrongly under an attack."""
    return f"{attack}|{p}|{eps}"


def middle(labels: Iterable[str]) -> str:
    """The middle one of some labels of numbers (the larger of two)."""
    ordered = by_number(labels)
    return ordered[len(ordered) // 2]

"""Flags on rows: reasons not to trust a measured robustness.

Where an attack fails, a network looks robust (Athalye et al. 2018; Carlini et al. 2019). Each
flag names one thing that should not happen to an attack that works:

- ``one-step-stronger``: a single step leads to more errors than the last of many;
- ``box-not-enough``: with no bound but the box [0, 1], the many-step attack leaves images right;
- ``zero-gradients``: there is no gradient to follow at a share of the images;
- ``hidden-pixels``: some pixels change the answer, and the gradient knows far less of them than of others;
- ``not-monotone``: a larger eps, fewer errors;
- ``square-stronger``: an attack without gradients finds errors that those before it, with gradients, missed;

and two things that happen to training:

- ``collapsed``: the network withstands the single step that it was trained on, but not several of the same length;
- ``no-better-than-constant:`` and an epoch: from it to the end, training was no better than the same answer to every
  image. Such answers have an objective of log(classes), since their gradients are zero, and the error of chance.

A network that diverged carries ``diverged:`` and the epoch in which it did.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from gradreg import registry
from gradreg.planning.numerals import is_joined, members, parse

SLACK = 0.01  # of all images: differences up to here are not told from chance
LEAST_IN_BOX = 0.98
ZERO_SHARE = 0.05
LEAST_EXPLAINED = 0.2
CHANCE = 0.95  # of the error of constant answers
GAP, RISE, WIDE_GAP = 0.25, 0.1, 0.5  # in the error of the probe
CHECKS = ("error_of_one_step", "error_of_last_step", "error_in_box")
UNATTACKED = ("none", "gaussian", "gaussian_unclipped", "uniform", "steepest")

Row = Mapping[str, Any]


def marked(
    rows: Sequence[Row], history: Sequence[Row] = (), diverged: int | None = None, classes: int = 0
) -> list[dict[str, Any]]:
    """The rows of one network with a column ``flags``: names joined by "+", or nothing.

    history: the rows of its training; diverged: the epoch in which it did; classes: their number, needed with a
    history. Flags of the network are on all its rows; those of an attack in a norm, on the rows of that attack there;
    those of gradients, on the rows of all attacks, in one norm or in all. A union of norms has the flags of each.
    """
    everywhere = [] if diverged is None else [f"diverged:{diverged}"]
    everywhere += ["collapsed"] if collapse(history) is not None else []
    failed = failure(history, classes)
    everywhere += [] if failed is None else [f"no-better-than-constant:{failed}"]
    zero = [row["value"] for row in rows if row["metric"] == "zero_gradient"]
    explained = [row["value"] for row in rows if row["metric"] == "explained"]
    gradient = ["zero-gradients"] if any(share > ZERO_SHARE for share in zero) else []
    gradient += ["hidden-pixels"] if any(share is not None and share < LEAST_EXPLAINED for share in explained) else []
    checks = _checks(rows)
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["attack"], row["attack_p"]), []).append(row)
    flags = {
        (attack, p): [] if attack in UNATTACKED else gradient + checks.get(p, []) + _of_attack(group)
        for (attack, p), group in groups.items()
    }

    def of_row(attack: str, p: str) -> str:
        norms = members(p) if is_joined(p) else []
        in_each = [flag for norm in norms for flag in flags.get((attack, norm), [])]
        return "+".join(dict.fromkeys(everywhere + in_each + flags[attack, p]))

    return [{**row, "flags": of_row(row["attack"], row["attack_p"])} for row in rows]


def collapse(history: Sequence[Row]) -> int | None:
    """The epoch in which training collapsed, None where it did not, or where it was not probed.

    At the end, the probe's error under several steps is far above that under one, and either has risen from where it
    was or is further away still; the epoch is the first from which on that holds.
    """
    errors = [(row["probe_error_1"], row["probe_error_5"]) for row in history]
    if any(not isinstance(value, int | float) or math.isnan(value) for pair in errors for value in pair):
        return None
    collapsed, least = None, math.inf
    for epoch, (one, many) in enumerate(errors, start=1):
        least = min(least, many)
        if many - one >= WIDE_GAP or (many - one >= GAP and many - least >= RISE):
            collapsed = epoch if collapsed is None else collapsed
        else:
            collapsed = None
    return collapsed


def failure(history: Sequence[Row], classes: int) -> int | None:
    """The epoch from which on training was no better than constant answers, None where it was at the end."""
    failed = None
    for epoch, row in enumerate(history, start=1):
        if row["loss"] > math.log(classes) or row["error"] >= CHANCE * (1 - 1 / classes):
            failed = epoch if failed is None else failed
        else:  # a network that diverged has its own flag, and no values from there on
            failed = None
    return failed


def _checks(rows: Sequence[Row]) -> dict[str, list[str]]:
    """What the many-step attack's own checks show, by norm."""
    values: dict[tuple[str, str], float] = {
        (row["attack_p"], row["metric"]): row["value"] for row in rows if row["attack_p"] and row["metric"] in CHECKS
    }
    flags_of: dict[str, list[str]] = {}
    for p in {p for p, _ in values}:
        flags = []
        one, last = values.get((p, "error_of_one_step")), values.get((p, "error_of_last_step"))
        if one is not None and last is not None and one > last + SLACK:
            flags.append("one-step-stronger")
        box = values.get((p, "error_in_box"))
        if box is not None and box < LEAST_IN_BOX:
            flags.append("box-not-enough")
        flags_of[p] = flags
    return flags_of


def _of_attack(rows: Sequence[Row]) -> list[str]:
    """What the rows of one attack in one norm show."""
    flags = []
    errors = sorted((parse(row["attack_eps"]), row["value"]) for row in rows if row["metric"] == "error")
    highest = -math.inf
    for _, error in errors:
        if error < highest - SLACK:
            flags.append("not-monotone")
            break
        highest = max(highest, error)
    after = [
        (row["attack_eps"], row["metric"], row["value"]) for row in rows if row["metric"].startswith("error_after_")
    ]
    blind = {f"error_after_{kind}" for kind, block in registry.section("attacks").items() if block.get("blind")}
    followed = False  # whether an attack with gradients came before
    for (eps, first, before), (same, kind, value) in itertools.pairwise(after):
        followed = (followed and eps == same) or first not in blind
        if eps == same and followed and kind in blind and value > before + SLACK:
            flags.append("square-stronger")
            break
    return flags

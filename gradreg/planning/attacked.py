"""Errors under attack by name: in a norm or in the union of several, at an eps, and as what settings compete by."""

from dataclasses import dataclass
from typing import Any

from gradreg.planning.numerals import by_number, joined
from gradreg.planning.specs import Grid


def union(grid: Grid) -> dict[str, list[str]]:
    """All norms of a grid together, with the eps that stand at the same place of each; empty for one norm.

    Places that a norm does not have are left out.
    """
    norms = by_number(grid)
    if len(norms) < 2:
        return {}
    return {joined(norms): [joined(strengths) for strengths in zip(*(grid[p] for p in norms), strict=False)]}


@dataclass(frozen=True)
class Criterion:
    """The error that settings compete by on held-out images, by the columns of tables; by default without attack."""

    attack: str = "none"
    p: str = ""
    eps: str = ""

    @classmethod
    def of(cls, written: Any) -> "Criterion":
        """From ``selection: {by: ...}`` of a config: "error", or attack, p and eps."""
        return cls() if written == "error" else cls(**written)

    def __str__(self) -> str:
        if self.attack == "none":
            return "error without attack"
        return f"error under the {self.attack.replace('_', '-')} attack, p = {self.p}, eps = {self.eps}"


CLEAN = Criterion()

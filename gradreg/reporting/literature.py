"""Published results, from ``registry/literature.yaml``: what tables and figures show beside ours."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parents[1] / "registry" / "literature.yaml"


@dataclass(frozen=True)
class Anchor:
    """One published error, in percent: on the test set as it is (p and eps empty), or under a one-step attack."""

    network: str
    training: str
    p: str
    eps: str
    error: float
    source: str


@functools.cache
def anchors(dataset: str) -> list[Anchor]:
    """What is published of a data set, in the order of the file."""
    content: dict[str, list[dict[str, Any]]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    found = []
    for own in content.get(dataset, []):
        names = (own["network"], own["training"])
        if "error" in own:
            found.append(Anchor(*names, "", "", own["error"], own["source"]))
        for p, errors in own.get("attacks", {}).items():
            found += [Anchor(*names, str(p), str(eps), value, own["source"]) for eps, value in errors.items()]
    return found

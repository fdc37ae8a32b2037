"""Errors in the literature, from ``registry/literature.yaml``: tables and figures show them beside ours."""

import functools
from dataclasses import dataclass
from typing import Any

from gradreg import registry


@dataclass(frozen=True)
class Value:
    """One error in percent, on unperturbed test images (p and eps empty) or under a one-step attack."""

    network: str
    training: str
    p: str
    eps: str
    error: float
    source: str


@functools.cache
def values(dataset: str) -> list[Value]:
    """All errors on a data set, in the order of the file."""
    content: dict[str, list[dict[str, Any]]] = registry.read_yaml(registry.FOLDER / "literature.yaml")
    errors = []
    for entry in content.get(dataset, []):
        network, source = (entry["network"], entry["training"]), entry["source"]
        if "error" in entry:
            errors.append(Value(*network, "", "", entry["error"], source))
        for p, by_eps in entry.get("attacks", {}).items():
            errors += [Value(*network, str(p), str(eps), error, source) for eps, error in by_eps.items()]
    return errors


def clean(dataset: str) -> list[Value]:
    """Errors on unperturbed images."""
    return [value for value in values(dataset) if not value.p]


def attacked(dataset: str) -> list[Value]:
    """Errors under attack."""
    return [value for value in values(dataset) if value.p]

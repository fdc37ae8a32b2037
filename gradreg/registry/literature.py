"""Errors in the literature, from ``literature.yaml``: tables and figures show them beside ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from gradreg import registry

FILE = registry.FOLDER / "literature.yaml"


@dataclass(frozen=True)
class Entry:
    """The errors, in percent, of one network in the literature; fields as in the file.

    error: on unperturbed test images, None where it is not known. attacks: (p, eps, error) of one-step attacks. noise:
    (standard deviation, error) of Gaussian noise. p: of its training, "none" for plain, None where no training of ours
    is like it.
    """

    network: str
    training: str
    source: str
    n_train: int
    p: str | None = None
    model: Mapping[str, Any] | None = None
    objective: Mapping[str, Any] | None = None
    error: float | None = None
    attacks: tuple[tuple[str, str, float], ...] = ()
    noise: tuple[tuple[str, float], ...] = ()


def _entry(dataset: str, block: Mapping[str, Any]) -> Entry:
    """An entry from a block of the file. Raises TypeError or ValueError for one that is not as it should be."""
    attacks = tuple(
        (_p(p), _level(eps), _error(e)) for p, by in block.get("attacks", {}).items() for eps, e in by.items()
    )
    noise = tuple((_level(level), _error(error)) for level, error in block.get("noise", {}).items())
    p = block.get("p")
    changed = {"attacks": attacks, "noise": noise, "p": p if p in (None, "none") else _p(p)}
    changed["error"] = None if block.get("error") is None else _error(block["error"])
    changed["n_train"] = block.get("n_train", registry.lookup("datasets", dataset)["n_train"])
    if "model" in block:
        known = {"kind", "input", *registry.lookup("models", block["model"]["kind"]).get("settings", {})}
        if unknown := block["model"].keys() - known:
            raise ValueError(
                f"{block['network']}: models of kind {block['model']['kind']} have no {sorted(unknown)[0]}"
            )
    return Entry(**{**block, **changed})


def _p(value: Any) -> str:
    if value == "inf":
        return "inf"
    if isinstance(value, int | float) and value >= 1:
        return f"{value:g}"
    raise ValueError(f"p: {value!r} is no norm; write none, inf or a number from 1")


def _level(value: Any) -> str:
    if isinstance(value, int | float) and value > 0:
        return f"{value:g}"
    raise ValueError(f"{value!r} is no size; write a positive number")


def _error(value: Any) -> float:
    if isinstance(value, int | float) and 0 <= value <= 100:
        return float(value)
    raise ValueError(f"{value!r} is no error in percent")


def _read() -> dict[str, list[Entry]]:
    """All entries by data set, in the order of the file. Raises ValueError, in one line, for an invalid file."""
    entries = {}
    try:
        for dataset, blocks in registry.read_yaml(FILE).items():
            entries[dataset] = [_entry(dataset, block) for block in blocks]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"gradreg/registry/{FILE.name}: {' '.join(str(error).split())}") from None
    return entries


ENTRIES = _read()


def entries(dataset: str) -> list[Entry]:
    """All entries of a data set."""
    return ENTRIES.get(dataset, [])


def compared(dataset: str, n_train: int, model: Mapping[str, Any], objective: Mapping[str, Any], p: str) -> list[Entry]:
    """The entries that a network of ours is compared with.

    model, objective: their settings, with ``kind`` and, of the model, ``input``; p: of its training, "none" for plain.
    """
    if p != "none" and objective["kind"] != "perturb":
        return []
    return [
        entry
        for entry in entries(dataset)
        if entry.model is not None
        and (entry.p, entry.n_train) == (p, n_train)
        and all(model.get(key) == value for key, value in entry.model.items())
        and all(objective.get(key) == value for key, value in (entry.objective or {}).items())
    ]

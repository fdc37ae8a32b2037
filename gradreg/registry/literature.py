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
    error: float | None = None
    attacks: tuple[tuple[str, str, float], ...] = ()
    noise: tuple[tuple[str, float], ...] = ()


def _entry(dataset: str, block: Mapping[str, Any]) -> Entry:
    """An entry from a block of the file. Raises TypeError or ValueError for one that is not as it should be."""
    attacks = tuple((str(p), str(eps), e) for p, grid in block.get("attacks", {}).items() for eps, e in grid.items())
    noise = tuple((str(level), error) for level, error in block.get("noise", {}).items())
    p = None if block.get("p") is None else str(block["p"])
    size = block.get("n_train", registry.lookup("datasets", dataset)["n_train"])
    return Entry(**{**block, "attacks": attacks, "noise": noise, "p": p, "n_train": size})


def _read() -> dict[str, list[Entry]]:
    """All entries by data set, in the order of the file. Raises ValueError, in one line, for an invalid file."""
    entries = {}
    try:
        for dataset, blocks in registry.read_yaml(FILE).items():
            entries[dataset] = [_entry(dataset, block) for block in blocks]
    except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"gradreg/registry/{FILE.name}: {' '.join(str(error).split())}") from None
    return entries


ENTRIES = _read()


def entries(dataset: str) -> list[Entry]:
    """All entries of a data set."""
    return ENTRIES.get(dataset, [])


def compared(dataset: str, n_train: int, model: Mapping[str, Any], objective: str, p: str) -> list[Entry]:
    """The entries that a network of ours is compared with.

    model: its settings, with ``kind`` and ``input``; objective: the kind; p: of its training, "none" for plain.
    """
    if p != "none" and objective != "perturb":
        return []
    return [
        entry
        for entry in entries(dataset)
        if entry.model is not None
        and (entry.p, entry.n_train) == (p, n_train)
        and all(model.get(key) == value for key, value in entry.model.items())
    ]

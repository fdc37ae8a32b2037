"""Files of states of training: ``seed-3.safetensors``, or ``seed-0-1.safetensors`` of replicas stepped together."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from gradreg.storage.files import remove

PATTERN = "seed-*.safetensors"


def file_of(folder: Path, seeds: Sequence[int]) -> Path:
    """The file of these replicas."""
    return folder / f"seed-{'-'.join(map(str, seeds))}.safetensors"


def seeds_of(file: Path) -> set[int]:
    """The seeds whose replicas are in a file."""
    return {int(seed) for seed in file.stem.split("-")[1:]}


def clear(folder: Path, seeds: Iterable[int]) -> None:
    """Remove every file in which one of these seeds stands."""
    for file in folder.glob(PATTERN):
        if seeds_of(file) & set(seeds):
            remove(file)

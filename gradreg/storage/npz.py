"""Arrays in npz files, written atomically and without pickled objects."""

import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gradreg.storage.files import atomic_path, reading


def write(path: str | Path, arrays: Mapping[str, Any], *, compress: bool = True) -> None:
    """Write arrays by name."""
    save = np.savez_compressed if compress else np.savez
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        save(file, **arrays)


def read(path: str | Path, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Arrays that ``write`` wrote: those of ``names``, or all. Raises DamagedFileError for other content."""
    with reading(path, zipfile.BadZipFile, zlib.error), np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in (file.files if names is None else names)}

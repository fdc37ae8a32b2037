"""Atomic writes, and reads that report a damaged file in one line."""

import glob
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

STALE_SECONDS = 3600.0  # a temporary file of this age is taken to have no writer any more


class DamagedFileError(Exception):
    """Raised for a file whose content is not what was written."""

    def __init__(self, path: str | Path, reason: object) -> None:
        super().__init__(f"{path} is damaged ({reason}): delete it, then give the same command again to recreate it")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it if the block ends without an error.

    Creates missing parent folders. If the block fails, the temporary file is removed. One that a killed process left is
    removed by the next write of ``path`` after an hour or more. An OSError names ``path``.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for other in temporaries(path):
            with suppress(FileNotFoundError):  # another process may remove it
                if time.time() - other.stat().st_mtime > STALE_SECONDS:
                    other.unlink()
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix="-" + path.name)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # else a crash of the machine might leave the name without the content
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise


def temporaries(path: Path) -> list[Path]:
    """The temporary files of writes of ``path``."""
    return [Path(name) for name in glob.glob(f"{glob.escape(str(path.parent))}/.*-{glob.escape(path.name)}")]


@contextmanager
def reading(path: str | Path, *errors: type[Exception]) -> Iterator[None]:
    """Turn the usual errors of reading a damaged file, and ``errors``, into a DamagedFileError."""
    damage: tuple[type[Exception], ...] = (ValueError, KeyError, EOFError, *errors)
    try:
        yield
    except damage as error:
        raise DamagedFileError(path, (str(error) or type(error).__name__).splitlines()[0]) from None


def write_text(path: str | Path, text: str) -> None:
    """Write text as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write a value as indented JSON with sorted keys, atomically. Raises ValueError for NaN and infinities."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """The value that ``write_json`` wrote. Raises DamagedFileError for other content."""
    with reading(path), open(path, encoding="utf-8") as file:
        return json.load(file)


def _umask() -> int:
    # mkstemp makes private files; results get the permissions of the user's umask.
    mask = os.umask(0)
    os.umask(mask)
    return mask

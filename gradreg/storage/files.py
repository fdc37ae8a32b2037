"""Writing files so that a reader never sees half of one, and reading them so that a damaged one is told in a line."""

import glob
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

LEFT_BEHIND = 3600.0  # seconds after which a temporary file has no writer any more


class DamagedFileError(Exception):
    """A file that is not what it was written as."""

    def __init__(self, path: str | Path, reason: object) -> None:
        super().__init__(f"{path} is damaged ({reason}): delete it, and give the same command again to have it remade")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it when the block ends without an error.

    Creates missing parent folders; leaves nothing behind when the block fails. What a killed process left is removed by
    the next write of the file, an hour later or more. An OSError names ``path``.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in temporaries(path):
            with suppress(FileNotFoundError):  # others may write the same file
                if time.time() - left.stat().st_mtime > LEFT_BEHIND:
                    left.unlink()
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix="-" + path.name)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # the name must not outlive the content, should the machine go down
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise


def temporaries(path: Path) -> list[Path]:
    """The temporary files beside ``path`` that are to replace it."""
    return [Path(name) for name in glob.glob(f"{glob.escape(str(path.parent))}/.*-{glob.escape(path.name)}")]


@contextmanager
def reading(path: str | Path, *errors: type[Exception]) -> Iterator[None]:
    """Turn what reading a damaged file raises, of the usual kinds or of ``errors``, into a DamagedFileError."""
    kinds: tuple[type[Exception], ...] = (ValueError, KeyError, EOFError, *errors)
    try:
        yield
    except kinds as error:
        raise DamagedFileError(path, (str(error) or type(error).__name__).splitlines()[0]) from None


def write_text(path: str | Path, text: str) -> None:
    """Write text as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write a value as indented JSON with sorted keys, atomically. NaN and infinities are refused (ValueError)."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """What ``write_json`` wrote. Raises DamagedFileError for anything else."""
    with reading(path), open(path, encoding="utf-8") as file:
        return json.load(file)


def _umask() -> int:
    # mkstemp makes private files; results are shared as the user's umask says.
    mask = os.umask(0)
    os.umask(mask)
    return mask

"""Atomic writes, and reads that report a damaged file in one line.

Beside each file lies a hidden one with its SHA-256, with which it is compared when it is read. A file without one, made
by other means, is read as it is.
"""

import glob
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

DIGEST, KEPT = re.compile("[0-9a-f]{64}"), 8  # checksums beside a file: its own, and of contents before
STALE_SECONDS = 3600.0  # a temporary file of this age is taken to have no writer any more


class DamagedFileError(Exception):
    """Raised for a file whose content is not what was written."""

    def __init__(self, path: str | Path, reason: object) -> None:
        super().__init__(f"{path} is damaged ({reason}): delete it, then give the same command again to recreate it")
        self.path, self.reason = path, str(reason)


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
        for other in _temporaries(path):
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
        _write_checksum(path, temporary)
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        of_temporary = temporary is not None and str(getattr(error, "filename", "")).endswith(temporary.name)
        if isinstance(error, OSError) and (error.filename is None or of_temporary):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise


def remove(path: Path) -> None:
    """Remove a file, if it is there, with its checksum and what killed writes of it left."""
    for written in (path, checksum_file(path), *_temporaries(path)):
        written.unlink(missing_ok=True)


def _temporaries(path: Path) -> list[Path]:
    return [Path(name) for name in glob.glob(f"{glob.escape(str(path.parent))}/.*-{glob.escape(path.name)}")]


@contextmanager
def reading(path: str | Path, *errors: type[Exception]) -> Iterator[None]:
    """Compare a file with its checksum; turn the usual errors of reading damage, and ``errors``, into one.

    Raises DamagedFileError for either.
    """
    damage: tuple[type[Exception], ...] = (ValueError, KeyError, EOFError, *errors)
    written = checksum_file(path)
    if written.exists() and sha256(path) not in _checksums(written):
        raise DamagedFileError(path, "its checksum is not that of what was written")
    try:
        yield
    except damage as error:
        raise DamagedFileError(path, (str(error) or type(error).__name__).splitlines()[0]) from None


def read_bytes(path: str | Path) -> bytes:
    """The content of a file. Raises DamagedFileError where it is not what was written."""
    with reading(path):
        return Path(path).read_bytes()


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


def checksum_file(path: str | Path) -> Path:
    """Where the checksum of a file is."""
    return Path(path).with_name(f".{Path(path).name}.sha256")


def _write_checksum(path: Path, content: Path) -> None:
    """Write that of ``content``, which replaces ``path`` next, and those of before: kills may come between."""
    file = checksum_file(path)
    before = _checksums(file)[: KEPT - 1] if file.exists() else []
    temporary = content.with_name(f".sum{content.name}")
    try:
        with temporary.open("w", encoding="ascii") as stream:
            stream.write("\n".join([sha256(content), *before]) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def _checksums(file: Path) -> list[str]:
    return [line for line in file.read_text(encoding="ascii", errors="replace").split() if DIGEST.fullmatch(line)]


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    # mkstemp makes private files; results get the permissions of the user's umask.
    mask = os.umask(0)
    os.umask(mask)
    return mask

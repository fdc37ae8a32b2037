"""Snakemake's records of what every file was made with (settings, code, inputs), kept beside the results.

Snakemake writes them to its own folder, where ``rm -rf .snakemake`` would take them: after that it believes every file.
"""

import atexit
import os
import pwd
import shutil
import sys
from base64 import urlsafe_b64encode
from pathlib import Path, PurePath

RECORDS, SNAKEMAKE = Path("results/records"), Path(".snakemake")
KINDS = ("metadata", "incomplete")  # what files were made with; files that a killed job may have left unfinished
OLDEST = 1  # seconds; Snakemake takes 0 for no time at all
_before: dict[Path, tuple[int, int]] = {}  # times of files that were made the oldest
RESULTS = ("cells", "groups", "metrics", "tables", "figures")


def keep_beside_results() -> None:
    """Have Snakemake write its records to ``results/records``: a link in its folder leads there."""
    for kind in KINDS:
        kept, link = RECORDS / kind, SNAKEMAKE / kind
        kept.mkdir(parents=True, exist_ok=True)
        if link.is_symlink():
            if link.exists():
                continue
            link.unlink()
        if link.is_dir():  # written by an earlier version
            shutil.copytree(link, kept, dirs_exist_ok=True)
            shutil.rmtree(link)
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(os.path.relpath(kept.resolve(), link.parent.resolve()))


def distrust_unrecorded(root: PurePath) -> None:
    """Give the files of an experiment that have no record the oldest of times: whatever they need is newer.

    So they are made again, unless ``snakemake --touch`` takes them as they are.
    While another run is active nothing is done: its files get their records when their jobs end. The times are put back
    at the end, unless ``a_run_began``: a dry run changes nothing.
    """
    if any((SNAKEMAKE / "locks").glob("*")):
        return
    kept = RECORDS / "metadata"
    longest = os.pathconf(kept, "PC_NAME_MAX") - 1
    recorded = {os.path.join(folder, file) for folder, _, files in os.walk(kept) for file in files}
    paths = [path for part in RESULTS for path in Path(root, part).rglob("[!.]*")]
    unrecorded = [
        path
        for path in [*paths, *(Path(root, name) for name in ("report.html", "provenance.html", "config.json"))]
        if _record(kept, path, longest) not in recorded and path.is_file() and path.stat().st_mtime > OLDEST
    ]
    for file in unrecorded:
        before = file.stat()
        try:
            os.utime(file, (OLDEST, OLDEST))
        except PermissionError:
            text = f"{file}: nothing says what it was made with, and it belongs to {_owner(before.st_uid)}"
            sys.exit(f"{text}: ask them for snakemake --touch, or delete it")
        _before[file] = (before.st_atime_ns, before.st_mtime_ns)
    if unrecorded:
        text = f"{len(unrecorded)} files of {root} are made again: nothing says what they were made with"
        print(f"{text} (snakemake --touch takes them as they are)", file=sys.stderr)


def a_run_began() -> None:
    """Leave the times as they are, and tell at the end of a disk that is full."""
    _before.clear()
    atexit.register(_tell_of_a_full_disk)


def a_run_succeeded() -> None:
    """Nothing is to be told."""
    atexit.unregister(_tell_of_a_full_disk)


def _tell_of_a_full_disk() -> None:
    """Snakemake, where it cannot write a record, speaks of permissions of its folder."""
    if os.statvfs(RECORDS).f_bavail == 0:
        text = "No space left on device; free some space, then give the same command again"
        print(f"Error: {RECORDS}: {text}", file=sys.stderr)


@atexit.register
def _put_back() -> None:
    for file, times in _before.items():
        if file.exists() and file.stat().st_mtime == OLDEST:
            os.utime(file, ns=times)


def _owner(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _record(folder: Path, file: Path, longest: int) -> str:
    """The path of a file's record: its own path in base 64, cut where a name would be too long."""
    name = urlsafe_b64encode(str(file).encode()).decode()
    *folders, last = [name[i : i + longest] for i in range(0, len(name), longest)]
    return os.path.join(folder, *(f"@{part}" for part in folders), last)

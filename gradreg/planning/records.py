"""Snakemake's records of what every file was made with (settings, code, inputs), kept beside the results.

Snakemake writes them to its own folder, where ``rm -rf .snakemake`` would take them: after that it believes every file.
"""

import os
import shutil
import sys
from base64 import urlsafe_b64encode
from pathlib import Path, PurePath

RECORDS, SNAKEMAKE = Path("results/records"), Path(".snakemake")
KINDS = ("metadata", "incomplete")  # what files were made with; files that a killed job may have left unfinished
OLDEST = 1  # seconds; Snakemake takes 0 for no time at all
RESULTS = ("cells", "groups", "metrics", "tables", "figures")


def keep_beside_results() -> None:
    """Have Snakemake write its records to ``results/records``: a link in its folder leads there."""
    for kind in KINDS:
        kept, link = RECORDS / kind, SNAKEMAKE / kind
        kept.mkdir(parents=True, exist_ok=True)
        if link.is_symlink():
            continue
        if link.is_dir():  # written by an earlier version
            shutil.copytree(link, kept, dirs_exist_ok=True)
            shutil.rmtree(link)
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(os.path.relpath(kept, link.parent))


def distrust_unrecorded(root: PurePath) -> None:
    """Give the files of an experiment that have no record the oldest of times: whatever they need is newer.

    So they are made again, unless ``snakemake --touch`` takes them as they are.
    While another run is active nothing is done: its files get their records when their jobs end.
    """
    if any((SNAKEMAKE / "locks").glob("*")):
        return
    kept = RECORDS / "metadata"
    longest = os.pathconf(kept, "PC_NAME_MAX") - 1
    recorded = {os.path.join(folder, file) for folder, _, files in os.walk(kept) for file in files}
    paths = [path for part in RESULTS for path in Path(root, part).rglob("[!.]*")]
    unrecorded = [
        path
        for path in [*paths, Path(root, "report.html"), Path(root, "config.json")]
        if _record(kept, path, longest) not in recorded and path.is_file() and path.stat().st_mtime > OLDEST
    ]
    for file in unrecorded:
        os.utime(file, (OLDEST, OLDEST))
    if unrecorded:
        text = f"{len(unrecorded)} files of {root} are made again: nothing says what they were made with"
        print(f"{text} (snakemake --touch takes them as they are)", file=sys.stderr)


def _record(folder: Path, file: Path, longest: int) -> str:
    """The path of a file's record: its own path in base 64, cut where a name would be too long."""
    name = urlsafe_b64encode(str(file).encode()).decode()
    *folders, last = [name[i : i + longest] for i in range(0, len(name), longest)]
    return os.path.join(folder, *(f"@{part}" for part in folders), last)

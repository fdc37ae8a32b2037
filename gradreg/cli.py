"""Common to the commands of the workflow: signals, one-line messages for errors, and what no job may outlive.

A job ends with the Snakemake that started it: an orphan could write old results over new ones.
It fails if its code was edited while it ran: Snakemake would record the new code as what made its results.
"""

import errno
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from gradreg.storage.files import DamagedFileError

OUT_OF_MEMORY = re.compile("allocate memory|out of memory")
AGAIN = "then give the same command again"
HINTS = {
    errno.ENOSPC: f"free some space, {AGAIN}",
    errno.EDQUOT: f"free some of your quota, {AGAIN}",
    errno.EFBIG: f"allow larger files (ulimit -f), {AGAIN}",
    errno.EROFS: f"make it writable, {AGAIN}",
    errno.EACCES: f"get permission to use it, {AGAIN}",
    errno.ENOENT: "give the same command again to recreate it",
}


PACKAGE = Path(__file__).resolve().parent
SNAKEMAKE = "GRADREG_SNAKEMAKE"  # set by workflow/job.sh: the process that started the shell of the job


class Interrupted(BaseException):
    """A signal to stop. It is a BaseException, so that no handler of ordinary errors catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


def run(main: Callable[[], None]) -> None:
    """Run a command. Errors of its environment, such as a full disk or a damaged file, end it with one line."""
    if SNAKEMAKE in os.environ:
        threading.Thread(target=_end_with_snakemake, args=(int(os.environ[SNAKEMAKE]),), daemon=True).start()
    script = Path(sys.argv[0]).resolve()
    if script.parent.name == "scripts" and PACKAGE.parent not in script.parents:
        sys.exit(f"Error: {script} runs the code of another folder, {PACKAGE}; give PYTHONPATH its own folder")
    before = {file: file.read_bytes() for file in (script, *PACKAGE.rglob("*.py")) if file.is_file()}
    try:
        main()
        files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
        loaded = {os.path.realpath(file) for file in files if file}
        for file, content in before.items():
            if str(file) in loaded and file.read_bytes() != content:
                sys.exit(f"Error: {file} was edited while this job ran; give the same command again")
    except Interrupted as interruption:
        print(f"Interrupted by {interruption}", file=sys.stderr)
        sys.exit(interruption.code)
    except Exception as error:
        text = explained(error)
        if text is None:
            raise
        sys.exit(f"Error: {text}")


def _end_with_snakemake(parent: int) -> None:
    """End this process, as SIGTERM does, when its shell is no longer a child of the process it was started by."""
    while True:
        try:
            orphaned = psutil.Process(os.getppid()).ppid() != parent
        except psutil.NoSuchProcess:
            orphaned = True
        if orphaned:
            os.kill(os.getpid(), signal.SIGTERM)
            return
        time.sleep(1)


def explained(error: Exception) -> str | None:
    """An error of the environment in one line, or None for an error that may be a bug."""
    if isinstance(error, DamagedFileError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        file = f"{error.filename}: " if error.filename is not None else ""
        hint = HINTS.get(error.errno)
        return f"{file}{error.strerror or os.strerror(error.errno)}" + (f"; {hint}" if hint else "")
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(str(error))):
        detail = f" ({str(error).splitlines()[0].rpartition('] ')[2]})" if str(error) else ""
        return f"out of memory{detail}; run fewer jobs at a time (--cores), or use a smaller network or batch_size"
    return None


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted at SIGTERM or SIGINT in the block, and ignore both after that, so that state can be saved."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    handlers: dict[signal.Signals, Any] = {
        number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    except Interrupted:
        handlers = dict.fromkeys(handlers, signal.SIG_IGN)
        raise
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)

"""What the commands of the workflow share: what goes wrong around them ends them in one line."""

import errno
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from gradreg.storage.files import DamagedFileError

MEMORY = re.compile("allocate memory|out of memory")
AGAIN = "then give the same command again"
HINTS = {
    errno.ENOSPC: f"free some space, {AGAIN}",
    errno.EDQUOT: f"free some of your quota, {AGAIN}",
    errno.EFBIG: f"allow larger files (ulimit -f), {AGAIN}",
    errno.EROFS: f"make it writable, {AGAIN}",
    errno.EACCES: f"get the right to it, {AGAIN}",
    errno.ENOENT: "what is missing is made anew when the same command is given again",
}


class Interrupted(BaseException):
    """A signal that asks to stop. BaseException: nothing on the way takes it for an error of its own."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


def run(main: Callable[[], None]) -> None:
    """Run a command. What it cannot help (no space, no memory, a file that is gone or damaged) ends it in one line."""
    try:
        main()
    except Interrupted as interruption:
        print(f"Interrupted by {interruption}", file=sys.stderr)
        sys.exit(interruption.code)
    except Exception as error:
        text = explained(error)
        if text is None:
            raise
        sys.exit(f"Error: {text}")


def explained(error: Exception) -> str | None:
    """What went wrong around a command, in one line; None for what may be a mistake in it."""
    if isinstance(error, DamagedFileError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        where = f"{error.filename}: " if error.filename is not None else ""
        hint = HINTS.get(error.errno)
        return f"{where}{error.strerror or os.strerror(error.errno)}" + (f"; {hint}" if hint else "")
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and MEMORY.search(str(error))):
        said = str(error).splitlines()[0].rpartition("] ")[2] if str(error) else "no more was to be had"
        return f"out of memory ({said}); run fewer jobs at a time (--cores), or take a smaller network or batch_size"
    return None


@contextmanager
def interruptible() -> Iterator[None]:
    """Within, SIGTERM and SIGINT raise Interrupted; after it they are ignored, so that it can be answered in peace."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    after: dict[signal.Signals, Any] = {
        number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    except Interrupted:
        after = dict.fromkeys(after, signal.SIG_IGN)
        raise
    finally:
        for number, handler in after.items():
            signal.signal(number, handler)

"""What the commands share: errors from around them end them in one line."""

import errno

import numpy as np
import pytest
import torch

from gradreg import cli


def refuse_memory():
    torch.empty(1 << 60, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "a/b"),
            "a/b: No space left on device; free some space, then",
        ),
        (OSError(errno.EROFS, "Read-only file system", "a"), "a: Read-only file system; make it writable, then give"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "a"),
            "a: No such file or directory; what is miss",
        ),
        (MemoryError(), "out of memory (no more was to be had); run fewer jobs at a time (--cores), or take a smaller"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried 2 GiB\nmore"), "out of memory (CUDA out of memory. Tried 2"),
    ],
)
def test_what_goes_wrong_around_a_command_is_one_line(error, text):
    assert cli.explained(error).startswith(text)
    assert "\n" not in cli.explained(error)


def test_memory_that_is_not_to_be_had():
    with pytest.raises(SystemExit, match=r"Error: out of memory \(.*can't allocate memory.*\); run fewer jobs"):
        cli.run(refuse_memory)
    with pytest.raises(SystemExit, match=r"Error: out of memory \(Unable to allocate"):
        cli.run(lambda: np.zeros(1 << 55))


@pytest.mark.parametrize("error", [ValueError("x"), RuntimeError("x"), KeyError("x"), OSError("no number")])
def test_mistakes_of_ours_are_not_hidden(error):
    def fail():
        raise error

    assert cli.explained(error) is None
    with pytest.raises(type(error)):
        cli.run(fail)

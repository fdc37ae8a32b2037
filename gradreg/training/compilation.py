"""A function compiled at its first call, which says so, and is run as it is where that fails."""

import time
from collections.abc import Callable
from typing import Any

import torch

MOST = 64  # versions of one function that a process may compile


class Compiled:
    """``function``, by torch.compile for the shapes it is called with; ``say`` is told how long that took.

    Where it cannot be compiled (no C++ compiler, say), the function is called as it is, and ``say`` is told why, once.
    """

    def __init__(self, function: Callable[..., Any], say: Callable[[str], None]) -> None:
        self.function, self.say, self.known = function, say, False
        self.compiled: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        """What the function returns, up to rounding."""
        if self.known:
            return (self.compiled or self.function)(*arguments)
        self.known = True
        start = time.perf_counter()
        try:
            torch._dynamo.config.recompile_limit = MOST
            compiled = torch.compile(self.function, fullgraph=True, dynamic=False)
            result = compiled(*arguments)
        except Exception as error:  # the compiler's own errors are of many kinds
            self.say(f"steps are not compiled: {(str(error) or type(error).__name__).strip().splitlines()[0]}")
            return self.function(*arguments)
        self.say(f"steps are compiled, in {time.perf_counter() - start:.0f} s")
        self.compiled = compiled
        return result

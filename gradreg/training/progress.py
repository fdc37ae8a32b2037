"""How a long loop shows itself: a bar on a terminal, a line per epoch in a log."""

import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from tqdm import tqdm


def say(text: str) -> None:
    """Print a line; a log that cannot be written is no reason to stop."""
    with suppress(OSError):
        print(text, flush=True)


class EpochProgress:
    """Call it after each epoch with its number and a row per replica; shows the means over replicas."""

    def __init__(self, title: str, epochs: int) -> None:
        self.title, self.epochs, self.start = title, epochs, time.monotonic()
        self.bar = tqdm(total=epochs, desc=title, unit="epoch", disable=not sys.stderr.isatty())

    def __call__(self, epoch: int, rows: Sequence[dict[str, float]]) -> None:
        """Show epoch ``epoch`` (from 1)."""
        shown = {}
        for key, name, scale, form in (
            ("loss", "loss", 1, ".4f"),
            ("error", "error %", 100, ".2f"),
            ("held_out_error", "validation error %", 100, ".2f"),
        ):
            values = [row[key] for row in rows if row.get(key, float("nan")) == row.get(key)]
            if values:
                shown[name] = format(scale * sum(values) / len(values), form)
        if self.bar.disable:
            seconds = time.monotonic() - self.start
            numbers = "  ".join(f"{name} {value}" for name, value in shown.items())
            say(f"{self.title}  epoch {epoch}/{self.epochs}  {numbers}  {seconds:.1f} s")
        else:
            self.bar.set_postfix(shown, refresh=False)
            self.bar.update(epoch - self.bar.n)  # training may have been taken up in the middle
            if epoch == self.epochs:
                self.bar.close()

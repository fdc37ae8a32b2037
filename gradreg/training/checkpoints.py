"""What is written down of an unfinished training, so that it is taken up again where it was after a crash.

The files lie beside the results, in a folder of their own that Snakemake knows nothing of: it deletes the outputs of a
job that fails. They are written atomically, and only as often as costs little of the time.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from gradreg.storage import states, tensors
from gradreg.storage.files import DamagedFileError

LEAST_SECONDS = 1.0  # between two writes
SHARE = 0.02  # of the time, that writing takes at most
Say = Callable[[str], None]


@dataclass(frozen=True)
class State:
    """Tensors by name, and facts that JSON can say (nan and infinities included)."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


class Resume:
    """The states of replicas that are being trained, in memory and in a folder.

    key says what they depend on beside their seeds (hyper-parameters, data, code): a file that was written under
    another key counts as none. One file holds the replicas that are stepped together (``storage.states``).
    """

    def __init__(self, folder: Path, key: str, say: Say = lambda text: None) -> None:
        self.folder, self.key, self.say = folder, key, say
        self.unwritten: dict[tuple[int, ...], State] = {}
        self.held = False  # whether a file holds anything of these replicas
        self.failure = ""
        self.start, self.before = time.monotonic(), 0.0  # seconds, until the files were written that are gone on from
        self.due = self.start + LEAST_SECONDS

    @property
    def seconds(self) -> float:
        """How long the replicas have been trained, before interruptions too."""
        return self.before + time.monotonic() - self.start

    def load(self, seeds: Sequence[int]) -> State | None:
        """The state in which these replicas, stepped together, were left; None where there is none of this key."""
        file = states.file_of(self.folder, seeds)
        try:
            values, about = tensors.read(file)
        except FileNotFoundError:
            return None
        except (OSError, DamagedFileError) as error:
            self.say(f"the state of training is not used: {error}")
            return None
        if about["key"] != self.key:
            self.say(f"{file} is of other settings, data, code, device or PyTorch, and is not used")
            return None
        self.held = True
        self.before = max(self.before, float(about["seconds"]))
        return State(values, json.loads(about["facts"]))

    def keep(self, seeds: Sequence[int], state: State, finished: bool) -> None:
        """Remember a state, and write what is not written yet where that is due, or where replicas are finished."""
        self.unwritten[tuple(seeds)] = state
        if finished or time.monotonic() >= self.due:
            self.write()

    def write(self) -> None:
        """Write what is not written yet. Where that fails, ``say`` is told why, once, and training may go on."""
        start = time.monotonic()
        try:
            while self.unwritten:
                seeds, state = next(iter(self.unwritten.items()))
                about = {"key": self.key, "facts": json.dumps(state.facts), "seconds": f"{self.seconds:.1f}"}
                tensors.write(states.file_of(self.folder, seeds), state.tensors, about)
                self.unwritten.pop(seeds)
                self.held = True
        except OSError as error:
            if str(error) != self.failure:
                self.say(f"the state of training cannot be saved in {self.folder} ({error})")
            self.failure = str(error)
        now = time.monotonic()
        self.due = now + max(LEAST_SECONDS, (now - start) / SHARE)

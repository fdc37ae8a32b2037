"""Training the replicas (seeds) of one cell together, in one process.

Each replica has its own initial weights and its own order of samples, drawn from its own generator, so its
result does not depend on which others share its block. On a GPU replicas that all run the same number of epochs are
either stacked along a first dimension and stepped by one ``vmap``, or take turns, whichever a few steps of both show to
be faster. On a CPU they take turns, which is as fast there and equal to the bit to a replica trained alone. The inner
loop waits for the device only where it hands over the order of the samples.
"""

import functools
import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from gradreg.data.splits import Split
from gradreg.device import CPU, wait_for
from gradreg.models.preprocessing import Whitening
from gradreg.training.checkpoints import Resume, Say
from gradreg.training.compilation import Compiled
from gradreg.training.early_stopping import Make, course
from gradreg.training.replicas import Replica, Row, Stack

TRIED = 20  # steps of each way, on a GPU


class TooLargeError(MemoryError):
    """What does not fit into the device's memory, said before the first step."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} more memory than the device has; take a smaller batch_size or network, or device: cpu"
        )


def train_block(
    seeds: Sequence[int],
    train: Split,
    held_out: Split | None,
    hp: Mapping[str, Any],
    device: torch.device,
    whitening: Whitening | None = None,
    on_epoch: Callable[[int, list[Row]], None] = lambda epoch, rows: None,
    say: Say = lambda text: None,
    resume: Resume | None = None,
) -> list[Replica]:
    """Train one replica per seed.

    hp has three parts: ``model`` (kind, input and settings), ``objective`` (kind, p, eps, space and the kind's
    settings) and ``train`` (all settings of a recipe); and ``n_stop`` where a recipe with patience is to be followed
    without held_out. A batch is the whole training set where that is smaller; an epoch passes over the set as often
    as it takes to make min_steps steps. ``on_epoch(epoch, rows)`` is called after each epoch with a row per replica,
    and ``say`` is told in words how the block is run. With ``resume``, training goes on from what it holds of these
    replicas, on a CPU to the bit, and their states are written there.

    held_out, where given, is read once per epoch, and influences nothing unless there is a patience: then the epoch
    of least held-out error is kept, and training ends when so many epochs have brought no better one. Without
    held_out, the last n_stop training images are held out until then, and what follows on all of them is the
    recipe's ``retrain``:

    - ``none``: nothing;
    - ``fresh``: training from the start for as many epochs as were best;
    - ``continue``: from the best network, with the momentum it had and its rate, which goes on to decay, until the
      objective on the images that were held out is no more than it was on the others;
    - ``continue_without_dropout``: likewise, with the rate it had and without dropout, until their cross-entropy is
      less than that of the others was.

    A replica whose loss stops being finite is put back to its state at the end of the last epoch that was finite,
    and stays there; its ``diverged`` is the epoch (from 1) in which that happened. Raises ValueError for settings that
    do not fit the network or the device, and TooLargeError, before the first step, where the device has too little
    memory.
    """
    _check_device(hp, device)
    told: set[str] = set()

    def say_once(text: str) -> None:
        if text not in told:  # replicas that take turns have the same to say
            told.add(text)
            say(text)

    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = hp["train"]["precision"] == "tf32"
    try:
        train = train.to(device)
        held_out = held_out.to(device) if held_out is not None else None
    except torch.OutOfMemoryError:
        raise TooLargeError("the data need") from None
    shared: dict[int, Compiled] = {}
    make = functools.partial(Stack, whitening=whitening, say=say_once, shared=shared)
    alone, together = [(seed,) for seed in seeds], tuple(seeds)
    left = {own: resume.load(own) for own in dict.fromkeys([*alone, together])} if resume else {}
    # What was begun in one way goes on in it.
    stacked = device.type == "cuda" and not any(left.get(own) for own in alone)
    stacked = stacked and (left.get(together) is not None or _stacked(make, seeds, train, hp, say_once))
    courses = [course(make, own, train, held_out, hp) for own in ([together] if stacked else alone)]
    for own in courses:
        state = left.get(tuple(own.seeds))
        if state is not None:
            own.restore(state)
            say(f"seeds {', '.join(map(str, own.seeds))}: taken up again after epoch {own.done}")
    epoch = min(own.done for own in courses)
    while not all(own.finished for own in courses):
        epoch += 1
        rows: list[Row] = []
        for own in courses:
            if own.done < epoch and not own.finished:
                rows += own.run_epoch()
                if resume:
                    resume.keep(own.seeds, own.state(), own.finished)
        if rows:
            on_epoch(epoch, rows)
    return [replica for own in courses for replica in own.replicas()]


def check(train: Split, hp: Mapping[str, Any], whitening: Whitening | None = None, device: torch.device = CPU) -> None:
    """Raise ValueError for settings that do not fit the network, the images or the device."""
    _check_device(hp, device)
    Stack([0], train, None, hp, whitening)


def _check_device(hp: Mapping[str, Any], device: torch.device) -> None:
    if hp["train"]["precision"] == "tf32" and device.type != "cuda":
        raise ValueError("precision: tf32 is a GPU's, and there is none; use float32 or bfloat16")


def _stacked(make: Make, seeds: Sequence[int], train: Split, hp: Mapping[str, Any], say: Say) -> bool:
    """Whether replicas are better stacked than trained in turn, by a few steps of both; says which, and why."""
    alone = _seconds(make, seeds[:1], train, hp)
    if math.isinf(alone):
        raise TooLargeError("one replica of this network needs")
    if len(seeds) == 1 or hp["train"]["patience"] is not None:
        return False
    together = _seconds(make, seeds, train, hp)
    gc.collect()  # a stack and its step hold each other; the device's memory is needed for what follows
    if math.isinf(together):
        say(f"in turn: {len(seeds)} replicas at once do not fit into the device's memory; lower seeds_per_job")
        return False
    times = f"a step of all takes {1000 * together:.2f} ms stacked, {1000 * len(seeds) * alone:.2f} ms in turn"
    say(f"{'stacked' if together < len(seeds) * alone else 'in turn'}: {times}")
    return together < len(seeds) * alone


def _seconds(make: Make, seeds: Sequence[int], train: Split, hp: Mapping[str, Any]) -> float:
    """Seconds of a step of a stack, once it is warm; infinite where it does not fit into the device's memory."""
    settings = {**hp["train"], "min_steps": TRIED, "epochs": 2}
    few = train.first(min(len(train), TRIED * settings["batch_size"]))
    try:
        stack = make(seeds, few, None, {**hp, "train": settings})
        stack.descend(1)
        wait_for(stack.device)
        start = time.perf_counter()
        stack.descend(2)
        wait_for(stack.device)
    except torch.OutOfMemoryError:
        return math.inf
    return (time.perf_counter() - start) / stack.steps

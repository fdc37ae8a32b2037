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
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gradreg import schedules
from gradreg.compiled import Compiled
from gradreg.data.arrays import Split
from gradreg.device import CPU, wait_for
from gradreg.inputs import Whitening
from gradreg.stack import Replica, Row, Stack

Epochs = Generator[list[Row], None, list[Replica]]
Say = Callable[[str], None]
Make = Callable[[Sequence[int], Split, Split | None, Mapping[str, Any]], Stack]
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
) -> list[Replica]:
    """Train one replica per seed.

    hp has three parts: ``model`` (kind, input and settings), ``objective`` (kind, p, eps, space and the kind's
    settings) and ``train`` (all settings of a recipe); and ``n_stop`` where a recipe with patience is to be followed
    without held_out. A batch is the whole training set where that is smaller; an epoch passes over the set as often
    as it takes to make min_steps steps. ``on_epoch(epoch, rows)`` is called after each epoch with a row per replica,
    and ``say`` is told in words how the block is run.

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
    together = device.type == "cuda" and _stacked(make, seeds, train, hp, say_once)
    stacks = [list(seeds)] if together else [[seed] for seed in seeds]
    running = dict(enumerate(_epochs(make, stack, train, held_out, hp) for stack in stacks))
    finished: dict[int, list[Replica]] = {}
    epoch = 0
    while running:
        epoch += 1
        rows: list[Row] = []
        for i, epochs in list(running.items()):
            try:
                rows += next(epochs)
            except StopIteration as end:
                finished[i] = end.value
                del running[i]
        if rows:
            on_epoch(epoch, rows)
    return [replica for i in sorted(finished) for replica in finished[i]]


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


def _epochs(make: Make, seeds: Sequence[int], train: Split, held_out: Split | None, hp: Mapping[str, Any]) -> Epochs:
    """The rows of each epoch; in the end, the replicas."""
    if hp["train"]["patience"] is not None:
        return (yield from _stopped(make, seeds, train, held_out, hp))
    stack = make(seeds, train, held_out, hp)
    for epoch in range(1, hp["train"]["epochs"] + 1):
        yield stack.run_epoch(epoch)
    return stack.replicas()


def _stopped(make: Make, seeds: Sequence[int], train: Split, held_out: Split | None, hp: Mapping[str, Any]) -> Epochs:
    """Training of one replica with patience, and what follows it."""
    settings = hp["train"]
    own, watched = (train, held_out) if held_out else (train.first(len(train) - hp["n_stop"]), train.last(hp["n_stop"]))
    first = make(seeds, own, watched, hp)
    best, best_epoch, least = first.parameters_of(0), 0, math.inf
    for epoch in range(1, settings["epochs"] + 1):
        (row,) = first.run_epoch(epoch)
        yield [row]
        if row["held_out_error"] < least:
            best, best_epoch, least = first.parameters_of(0), epoch, row["held_out_error"]
        if first.diverged[0] is not None or epoch - best_epoch >= settings["patience"]:
            break
    replica = Replica(seeds[0], best, first.history[0], first.diverged[0], best_epoch)
    if held_out or settings["retrain"] == "none" or replica.diverged is not None:
        return [replica]
    done = 0
    second = make(seeds, train, None, {**hp, "train": _afterwards(settings, best_epoch, first.steps)})
    for rows in _retraining(first, second, best, best_epoch, watched, settings):
        done += 1
        for row in rows:
            row |= {"phase": 2, "epoch": len(replica.history) + done}
        yield rows
    (last,) = second.replicas()
    diverged = None if last.diverged is None else len(replica.history) + last.diverged
    return [Replica(seeds[0], last.parameters, replica.history + last.history, diverged, best_epoch, done)]


def _afterwards(settings: Mapping[str, Any], best_epoch: int, steps: int) -> Mapping[str, Any]:
    """The settings of the second phase, whose epochs are counted from 1 again."""
    if settings["retrain"] == "fresh":
        return settings
    rate = schedules.learning_rate(settings, best_epoch + 1, 0, steps)
    return {
        **settings,
        "lr": rate,
        "lr_schedule": settings["lr_schedule"] if settings["retrain"] == "continue" else "constant",
        "lr_least": settings["lr_least"] * settings["lr"] / rate,
        "momentum": schedules.momentum(settings, best_epoch),
        "momentum_end": None,
        "eps_warmup": 0.0,
    }


def _retraining(
    first: Stack,
    second: Stack,
    best: Mapping[str, Tensor],
    best_epoch: int,
    watched: Split,
    settings: Mapping[str, Any],
) -> Iterator[list[Row]]:
    """The epochs of the second phase."""
    if settings["retrain"] == "fresh":
        for epoch in range(1, best_epoch + 1):
            yield second.run_epoch(epoch)
        return
    for stack in (first, second):
        stack.start_from(best)
    if settings["retrain"] == "continue_without_dropout":
        second.dropouts = {}
        bound = first.read(first.train)[0][0]
    else:
        bound = first.objective_on(first.train)
    for epoch in range(1, settings["epochs"] + 1):
        yield second.run_epoch(epoch)
        if settings["retrain"] == "continue_without_dropout":
            reached = second.read(watched)[0][0] < bound
        else:
            reached = second.objective_on(watched) <= bound
        if reached or second.diverged[0] is not None:
            return

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
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from gradreg.data.splits import Split
from gradreg.device import CPU, wait_for
from gradreg.models.checks import check_answers
from gradreg.models.preprocessing import Whitening
from gradreg.objectives.differentiation import by_autograd
from gradreg.planning.specs import TrainingSpec
from gradreg.training.checkpoints import Resume, Say
from gradreg.training.compilation import Compiled
from gradreg.training.early_stopping import Make, Patient
from gradreg.training.replicas import Replica, Row, Stack

FEW = 8  # images on which networks and objectives are tried
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
    spec: TrainingSpec,
    device: torch.device,
    whitening: Whitening | None = None,
    on_epoch: Callable[[int, list[Row]], None] = lambda epoch, rows: None,
    say: Say = lambda text: None,
    resume: Resume | None = None,
) -> list[Replica]:
    """Train one replica per seed.

    A batch is the whole training set where that is smaller; an epoch passes over the set as often as it takes to make
    min_steps steps. held_out is read once per epoch, and influences nothing unless the recipe has a patience
    (``early_stopping``). ``on_epoch(epoch, rows)`` is called after each epoch with a row per replica, and ``say`` with
    how the block is run. With ``resume``, training goes on from its states of these replicas, on a CPU to the bit, and
    their states are written there.

    A replica whose loss stops being finite is put back to its state at the end of the last epoch that was finite,
    and stays there; its ``diverged`` is the epoch (from 1) in which that happened. Raises ValueError for settings that
    do not fit the network or the device, and TooLargeError, before the first step, where the device has too little
    memory.
    """
    _check_device(spec, device)
    said: set[str] = set()

    def say_once(text: str) -> None:
        if text not in said:  # replicas that take turns have the same to say
            said.add(text)
            say(text)

    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = spec.recipe.precision == "tf32"
    try:
        train = train.to(device)
        held_out = held_out.to(device) if held_out is not None else None
    except torch.OutOfMemoryError:
        raise TooLargeError("the data need") from None
    shared: dict[int, Compiled] = {}
    make = functools.partial(Stack, whitening=whitening, say=say_once, shared=shared)
    parts = _begin(make, seeds, train, held_out, spec, say_once, resume)
    epoch = min(part.done for part in parts)
    while not all(part.finished for part in parts):
        epoch += 1
        rows: list[Row] = []
        for part in parts:
            if part.done < epoch and not part.finished:
                rows += part.run_epoch()
                if resume:
                    resume.keep(part.seeds, part.state(), part.finished)
        if rows:
            on_epoch(epoch, rows)
    return [replica for part in parts for replica in part.replicas()]


def check(train: Split, spec: TrainingSpec, whitening: Whitening | None = None, device: torch.device = CPU) -> None:
    """Raise ValueError for settings that do not fit the network, the images or the device.

    And for a network (``check_answers``) or an objective, tried on a few images, that is not as it must be.
    """
    _check_device(spec, device)
    stack, few = Stack([0], train, None, spec, whitening), train.first(min(FEW, len(train)))
    check_answers(spec.model, few.pixels(), train.classes)
    # As the steps of training: several replicas on a GPU, and compiled steps, go by torch.func.
    with nullcontext() if spec.recipe.compile or device.type == "cuda" else by_autograd():
        try:
            fault = _fault_of_objective(stack, few)
        except RuntimeError as error:  # no second derivative, saved tensor hooks, and the like
            fault = f"it does not work with this network: {str(error).splitlines()[0]}"
    if fault:
        raise ValueError(f"objective of kind {spec.objective.kind}: {fault}")


def _fault_of_objective(stack: Stack, few: Split) -> str | None:
    """What is wrong with what an objective returns on a few images, or None."""
    n, classes = len(few), few.classes
    parameters = {name: value[0] for name, value in stack.parameters.items()}
    random = {name: value[0] for name, value in stack.batches.random(n).items()}
    batch = random, few.pixels(), stack.batches.targets(few.labels), stack.eps
    result: Any = stack.loss(parameters, *batch)
    if not isinstance(result, tuple) or len(result) != 2 or not all(isinstance(part, Tensor) for part in result):
        return "it must return two tensors, the loss and the logits"
    loss, logits = result
    if loss.shape != ():
        return f"its loss for {n} images has shape {tuple(loss.shape)}; it must be one number, their mean"
    if tuple(logits.shape) != (n, classes):
        return f"its logits for {n} images have shape {tuple(logits.shape)}, not ({n}, {classes})"
    slopes, _ = stack.loss.gradients(parameters, *batch)
    if not any(bool(slope.any()) for slope in slopes.values()):
        return "its loss does not depend on the weights"
    return None


def _check_device(spec: TrainingSpec, device: torch.device) -> None:
    if spec.recipe.precision == "tf32" and device.type != "cuda":
        raise ValueError("precision: tf32 needs a GPU, and there is none; use float32 or bfloat16")


def _begin(
    make: Make,
    seeds: Sequence[int],
    train: Split,
    held_out: Split | None,
    spec: TrainingSpec,
    say: Say,
    resume: Resume | None,
) -> list[Stack | Patient]:
    """The parts of a block, one of all replicas or one of each, where an earlier run left them."""
    alone, together = [(seed,) for seed in seeds], tuple(seeds)
    left = {part: resume.load(part) for part in dict.fromkeys([*alone, together])} if resume else {}
    # What was begun in one way goes on in it.
    stacked = train.labels.device.type == "cuda" and not any(left.get(part) for part in alone)
    stacked = stacked and (left.get(together) is not None or _stacked(make, seeds, train, spec, say))
    start = make if spec.recipe.patience is None else functools.partial(Patient, make)
    parts = [start(part, train, held_out, spec) for part in ([together] if stacked else alone)]
    for part in parts:
        state = left.get(tuple(part.seeds))
        if state is not None:
            part.restore(state)
            say(f"seeds {', '.join(map(str, part.seeds))}: taken up again after epoch {part.done}")
    return parts


def _stacked(make: Make, seeds: Sequence[int], train: Split, spec: TrainingSpec, say: Say) -> bool:
    """Whether replicas are better stacked than trained in turn, by a few steps of both; says which, and why."""
    alone = _seconds(make, seeds[:1], train, spec)
    if math.isinf(alone):
        raise TooLargeError("one replica of this network needs")
    if len(seeds) == 1 or spec.recipe.patience is not None:
        return False
    together = _seconds(make, seeds, train, spec)
    gc.collect()  # a stack and its step hold each other; the device's memory is needed for what follows
    if math.isinf(together):
        say(f"in turn: {len(seeds)} replicas at once do not fit into the device's memory; lower seeds_per_job")
        return False
    times = f"a step of all takes {1000 * together:.2f} ms stacked, {1000 * len(seeds) * alone:.2f} ms in turn"
    say(f"{'stacked' if together < len(seeds) * alone else 'in turn'}: {times}")
    return together < len(seeds) * alone


def _seconds(make: Make, seeds: Sequence[int], train: Split, spec: TrainingSpec) -> float:
    """Seconds of a step of a stack, once it is warm; infinite where it does not fit into the device's memory."""
    few = train.first(min(len(train), TRIED * spec.recipe.batch_size))
    try:
        stack = make(seeds, few, None, spec.with_recipe(min_steps=TRIED, epochs=2))
        stack.descend(1)
        wait_for(stack.device)
        start = time.perf_counter()
        stack.descend(2)
        wait_for(stack.device)
    except torch.OutOfMemoryError:
        return math.inf
    return (time.perf_counter() - start) / stack.batches.steps

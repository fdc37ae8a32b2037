"""The way of replicas through a recipe, epoch by epoch: straight on, or with a patience and what follows it.

A course can be written down after any epoch and taken up again, on a CPU to the bit.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gradreg.data.splits import Split
from gradreg.training import schedules
from gradreg.training.checkpoints import State
from gradreg.training.replicas import Replica, Row, Stack

Make = Callable[[Sequence[int], Split, Split | None, Mapping[str, Any]], Stack]


def course(
    make: Make, seeds: Sequence[int], train: Split, held_out: Split | None, hp: Mapping[str, Any]
) -> "Straight | Patient":
    """The course that hp asks for; arguments as ``training.train_block`` has them."""
    if hp["train"]["patience"] is None:
        return Straight(make, seeds, train, held_out, hp)
    return Patient(make, seeds, train, held_out, hp)


class Straight:
    """All epochs of a recipe, one after another."""

    def __init__(
        self, make: Make, seeds: Sequence[int], train: Split, held_out: Split | None, hp: Mapping[str, Any]
    ) -> None:
        self.seeds = seeds
        self.epochs: int = hp["train"]["epochs"]
        self.stack = make(seeds, train, held_out, hp)

    @property
    def done(self) -> int:
        """The number of epochs so far."""
        return len(self.stack.history[0])

    @property
    def finished(self) -> bool:
        """Whether none is left."""
        return self.done == self.epochs

    def run_epoch(self) -> list[Row]:
        """The next epoch; a row per replica."""
        return self.stack.run_epoch(self.done + 1)

    def replicas(self) -> list[Replica]:
        """The replicas as they stand."""
        return self.stack.replicas()

    def state(self) -> State:
        """A copy of all that epochs change."""
        return self.stack.state()

    def restore(self, state: State) -> None:
        """Go on from such a copy."""
        self.stack.restore(state)


class Patient:
    """One replica trained until its error on images held out from it stands still; then, where there were none to
    choose by, training on all of them (``retrain``, see ``training.train_block``)."""

    FACTS = ("best_epoch", "least", "bound", "finished")

    def __init__(
        self, make: Make, seeds: Sequence[int], train: Split, held_out: Split | None, hp: Mapping[str, Any]
    ) -> None:
        self.seeds, self.hp, self.settings = seeds, hp, hp["train"]
        self.make, self.train, self.retrains = make, train, not held_out and self.settings["retrain"] != "none"
        own, self.watched = (
            (train, held_out) if held_out else (train.first(len(train) - hp["n_stop"]), train.last(hp["n_stop"]))
        )
        self.first = make(seeds, own, self.watched, hp)
        self.second: Stack | None = None
        self.best, self.best_epoch, self.least = self.first.parameters_of(0), 0, math.inf
        self.bound = math.nan  # what the images that were held out have to reach, where retraining continues
        self.finished = False

    @property
    def done(self) -> int:
        """The number of epochs so far, of both phases."""
        return len(self.first.history[0]) + (len(self.second.history[0]) if self.second else 0)

    def run_epoch(self) -> list[Row]:
        """The next epoch; one row, whose epoch goes on counting through the second phase."""
        if self.second:
            return self._run_second(self.second)
        (row,) = self.first.run_epoch(self.done + 1)
        if row["held_out_error"] < self.least:
            self.best, self.best_epoch, self.least = self.first.parameters_of(0), self.done, row["held_out_error"]
        diverged = self.first.diverged[0] is not None
        enough = self.done - self.best_epoch >= self.settings["patience"] or self.done == self.settings["epochs"]
        if diverged or (enough and not self.retrains):
            self.finished = True
        elif enough:
            self.second = self._begin_second()
        return [row]

    def replicas(self) -> list[Replica]:
        """The best one of the first phase, or that of the second."""
        seed, history, diverged = self.seeds[0], self.first.history[0], self.first.diverged[0]
        if self.second is None:
            return [Replica(seed, self.best, history, diverged, self.best_epoch)]
        (last,) = self.second.replicas()
        diverged = None if last.diverged is None else len(history) + last.diverged
        epochs = len(last.history)
        return [Replica(seed, last.parameters, history + last.history, diverged, self.best_epoch, epochs)]

    def state(self) -> State:
        """A copy of all that epochs change."""
        own = (self.second or self.first).state()
        facts = {name: getattr(self, name) for name in self.FACTS}
        # The first phase is over where there is a second, and changes no more.
        facts["before"] = self.first.history[0] if self.second else None
        best = {f"best/{name}": value.to("cpu", copy=True) for name, value in self.best.items()}
        return State({**own.tensors, **best}, {**own.facts, "course": facts})

    def restore(self, state: State) -> None:
        """Go on from such a copy."""
        facts = state.facts["course"]
        for name in self.FACTS:
            setattr(self, name, facts[name])
        for name, value in self.best.items():
            value.copy_(state.tensors[f"best/{name}"])
        if facts["before"] is not None:
            self.first.history = [facts["before"]]
            self.second = self._make_second()
        (self.second or self.first).restore(state)

    def _begin_second(self) -> Stack:
        """The stack of the second phase, where it starts."""
        second = self._make_second()
        if self.settings["retrain"] == "fresh":
            return second
        for stack in (self.first, second):
            stack.start_from(self.best)
        if self.settings["retrain"] == "continue_without_dropout":
            self.bound = self.first.read(self.first.train)[0][0]
        else:
            self.bound = self.first.objective_on(self.first.train)
        return second

    def _make_second(self) -> Stack:
        after = _afterwards(self.settings, self.best_epoch, self.first.steps)
        second = self.make(self.seeds, self.train, None, {**self.hp, "train": after})
        if self.settings["retrain"] == "continue_without_dropout":
            second.dropouts = {}
        return second

    def _run_second(self, second: Stack) -> list[Row]:
        epochs = len(second.history[0]) + 1
        (row,) = second.run_epoch(epochs)
        row |= {"phase": 2, "epoch": self.done}
        if self.settings["retrain"] == "fresh":
            self.finished = epochs == self.best_epoch
            return [row]
        if self.settings["retrain"] == "continue_without_dropout":
            reached = second.read(self.watched)[0][0] < self.bound
        else:
            reached = second.objective_on(self.watched) <= self.bound
        self.finished = reached or second.diverged[0] is not None or epochs == self.settings["epochs"]
        return [row]


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

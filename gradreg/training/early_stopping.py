"""Training with a patience, and what follows on all images.

The network of the epoch of least held-out error is kept, and training ends after ``patience`` epochs without a better
one. Where the spec has a ``watch``, it is the error under its attack: that may rise again while the error without
attack still falls (robust overfitting, Rice et al. 2020). Final runs have no images held out: they hold out their last
n_stop images until then, and the recipe's ``retrain`` says what follows on all of them:

- ``none``: nothing;
- ``fresh``: training from the start, for as many epochs as were best;
- ``continue``: from the best network, with the momentum it had and its rate, which goes on to decay, until the
  objective on the images that were held out is no more than it was on the others;
- ``continue_without_dropout``: likewise, with its rate held constant and without dropout, until the cross-entropy of
  the images that were held out is less than that of the others was.

It can be saved after any epoch and taken up again, on a CPU to the bit.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from gradreg.data.splits import Split
from gradreg.planning.specs import Recipe, TrainingSpec
from gradreg.training import schedules
from gradreg.training.checkpoints import State
from gradreg.training.replicas import Replica, Row, Stack

Make = Callable[[Sequence[int], Split, Split | None, TrainingSpec], Stack]


class Patient:
    """One replica trained with a patience, and then, where it held out some of its images, on all of them.

    make: of ``Stack``; arguments as in ``block.train_block``.
    """

    FACTS = ("best_epoch", "least", "bound", "finished")

    def __init__(
        self, make: Make, seeds: Sequence[int], train: Split, held_out: Split | None, spec: TrainingSpec
    ) -> None:
        self.seeds, self.spec, self.recipe = seeds, spec, spec.recipe
        self.make, self.train, self.retrains = make, train, not held_out and spec.recipe.retrain != "none"
        n_stop = spec.n_stop or 0
        first, self.watched = (train, held_out) if held_out else (train.first(len(train) - n_stop), train.last(n_stop))
        self.first = make(seeds, first, self.watched, spec)
        self.second: Stack | None = None
        self.best, self.best_epoch, self.least = self.first.parameters_of(0), 0, math.inf
        self.bound = math.nan  # to be reached on the images that were held out, where retraining continues
        self.finished = False

    @property
    def done(self) -> int:
        """The number of epochs so far, of both phases."""
        return self.first.done + (self.second.done if self.second else 0)

    def run_epoch(self) -> list[Row]:
        """The next epoch; one row, whose epoch goes on counting through the second phase."""
        if self.second:
            return self._run_second(self.second)
        (row,) = self.first.run_epoch()
        error = row["held_out_error"]
        if self.spec.watch:
            error = row["watched_error"] = self.first.error_under_attack(self.watched, self.spec.watch)
        if error < self.least:
            self.best, self.best_epoch, self.least = self.first.parameters_of(0), self.done, error
        patience = self.recipe.patience or 0
        enough = self.done - self.best_epoch >= patience or self.done == self.recipe.epochs
        if self.first.diverged[0] is not None or (enough and not self.retrains):
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
        state = (self.second or self.first).state()
        facts = {name: getattr(self, name) for name in self.FACTS}
        # The first phase is over where there is a second, and changes no more.
        facts["before"] = self.first.history[0] if self.second else None
        best = {f"best/{name}": value.to("cpu", copy=True) for name, value in self.best.items()}
        return State({**state.tensors, **best}, {**state.facts, "phases": facts})

    def restore(self, state: State) -> None:
        """Go on from such a copy."""
        facts = state.facts["phases"]
        for name in self.FACTS:
            setattr(self, name, facts[name])
        for name, value in self.best.items():
            value.copy_(state.tensors[f"best/{name}"])
        if facts["before"] is not None:
            self.first.history = [facts["before"]]
            self.second = self._make_second()
        (self.second or self.first).restore(state)

    def _begin_second(self) -> Stack:
        """The stack of the second phase, at its start."""
        second = self._make_second()
        if self.recipe.retrain == "fresh":
            return second
        for stack in (self.first, second):
            stack.start_from(self.best)
        if self.recipe.retrain == "continue_without_dropout":
            self.bound = self.first.read(self.first.train)[0][0]
        else:
            self.bound = self.first.objective_on(self.first.train)
        return second

    def _make_second(self) -> Stack:
        recipe = _afterwards(self.recipe, self.best_epoch, self.first.batches.steps)
        second = self.make(self.seeds, self.train, None, replace(self.spec, recipe=recipe))
        if self.recipe.retrain == "continue_without_dropout":
            second.batches.dropouts = {}
        return second

    def _run_second(self, second: Stack) -> list[Row]:
        (row,) = second.run_epoch()
        row |= {"phase": 2, "epoch": self.done}
        if self.recipe.retrain == "fresh":
            self.finished = second.done == self.best_epoch
            return [row]
        if self.recipe.retrain == "continue_without_dropout":
            reached = second.read(self.watched)[0][0] < self.bound
        else:
            reached = second.objective_on(self.watched) <= self.bound
        self.finished = reached or second.diverged[0] is not None or second.finished
        return [row]


def _afterwards(recipe: Recipe, best_epoch: int, steps: int) -> Recipe:
    """The recipe of the second phase, whose epochs are counted from 1 again."""
    if recipe.retrain == "fresh":
        return recipe
    rate = schedules.learning_rate(recipe, best_epoch + 1, 0, steps)
    return replace(
        recipe,
        lr=rate,
        lr_schedule=recipe.lr_schedule if recipe.retrain == "continue" else "constant",
        lr_least=recipe.lr_least * recipe.lr / rate,
        momentum=schedules.momentum(recipe, best_epoch),
        momentum_end=None,
        eps_warmup=0.0,
    )

"""Replicas of one network, alike but for their seeds, that are trained together, step by step."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import stack_module_state, vmap

from gradreg.data.splits import Split
from gradreg.models import preprocessing
from gradreg.models.checkpoint import build
from gradreg.models.checks import check_parts
from gradreg.models.layers import Dropout
from gradreg.objectives.binding import bind
from gradreg.objectives.differentiation import Strength, by_autograd
from gradreg.planning.specs import ModelSpec, TrainingSpec, WatchSpec
from gradreg.training import readings, schedules
from gradreg.training.batches import Batches
from gradreg.training.checkpoints import State
from gradreg.training.compilation import Compiled
from gradreg.training.cuda_graph import Given, Recorded
from gradreg.training.loss import TrainingLoss
from gradreg.training.optimizer import Descent

Row = dict[str, float]
PROBE_STEPS = (1, 5)


@dataclass
class Replica:
    """One trained network: its parameters and one row of history per epoch.

    diverged: the epoch in which it did; best_epoch: that of least watched error, where training stops early;
    retrained: epochs on all images after it, where there were any.
    """

    seed: int
    parameters: dict[str, Tensor]
    history: list[Row]
    diverged: int | None
    best_epoch: int | None = None
    retrained: int | None = None


class Stack:
    """Replicas whose parameters are stacked along a first dimension and stepped together.

    ``shared`` holds the compiled steps of stacks with the same spec, by their number of replicas. Raises ValueError for
    settings that do not fit the network.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        train: Split,
        held_out: Split | None,
        spec: TrainingSpec,
        whitening: preprocessing.Whitening | None = None,
        say: Callable[[str], None] = lambda text: None,
        shared: dict[int, Compiled] | None = None,
    ) -> None:
        self.seeds, self.train, self.held_out, self.epochs = seeds, train, held_out, spec.recipe.epochs
        self.recipe = spec.recipe
        self.device = train.labels.device
        eps = spec.objective.eps  # several are scaled together
        self.eps: Strength = eps if isinstance(eps, float) else torch.tensor(eps, device=self.device)
        objective = bind(spec.objective.kind, p=spec.objective.p, **spec.objective.settings)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        module, self.parameters = _initial(spec.model, train, generators)
        dropouts = {name: layer for name, layer in module.named_modules() if isinstance(layer, Dropout)}
        self.batches = Batches(seeds, generators, train, spec.recipe, dropouts, objective)
        layer = preprocessing.layer(spec.model.input, whitening).to(self.device)
        self.loss = TrainingLoss(module, layer, objective, spec.objective.space == "whitened")
        self.descent = Descent(self.parameters, spec.recipe)
        self.dtype = torch.bfloat16 if spec.recipe.precision == "bfloat16" else torch.float32
        self.kept = {name: value.clone() for name, value in self.parameters.items()}
        self.history: list[list[Row]] = [[] for _ in seeds]
        self.diverged: list[int | None] = [None] * len(seeds)
        gradients = self.loss.gradients
        step: Callable[..., Any]
        if len(seeds) > 1:
            step = vmap(gradients, in_dims=(0, 0, 0, 0, None))
        else:
            step = _unstacked(gradients, nullcontext if spec.recipe.compile else by_autograd)
        if spec.recipe.compile:  # once for all stacks of a block that are alike
            step = ({} if shared is None else shared).setdefault(len(seeds), Compiled(step, say))
        self.step_gradients = step
        self.loss_sum, self.errors = (torch.zeros(len(seeds), device=self.device) for _ in range(2))
        self.step = Recorded(self._step, self.device, say)
        self.steps_done = 0

    @property
    def done(self) -> int:
        """The number of epochs so far."""
        return len(self.history[0])

    @property
    def finished(self) -> bool:
        """Whether all epochs of the recipe are done."""
        return self.done == self.epochs

    def run_epoch(self) -> list[Row]:
        """A pass over the training set, or several (a last incomplete batch is left out); a row per replica."""
        epoch = self.done + 1
        self.descend(epoch)
        self._freeze_diverged(epoch)
        steps, size = self.batches.steps, self.batches.size
        values = {"loss": (self.loss_sum / steps).tolist(), "error": (self.errors / (steps * size)).tolist()}
        if self.held_out is not None:
            values["held_out_loss"], values["held_out_error"] = self.read(self.held_out)
        for count in PROBE_STEPS:
            probed = readings.probe_error(self.loss, self.kept, self.train, self.eps, count)
            values[f"probe_error_{count}"] = probed or [math.nan] * len(self.seeds)
        values["participation_ratio"] = readings.participation_ratio(self.loss, self.kept, self.train)
        for i, diverged in enumerate(self.diverged):
            if diverged is not None:
                for name in ("loss", "error", "participation_ratio", *(f"probe_error_{n}" for n in PROBE_STEPS)):
                    values[name][i] = math.nan
        for i, rows in enumerate(self.history):
            rows.append({"phase": 1, "epoch": epoch} | {name: column[i] for name, column in values.items()})
        return [rows[-1] for rows in self.history]

    def descend(self, epoch: int) -> None:
        """The steps of an epoch; the device is not waited for between them."""
        order, size, steps = self.batches.order(), self.batches.size, self.batches.steps
        self.loss_sum.zero_()
        self.errors.zero_()
        momentum = schedules.momentum(self.recipe, epoch)
        for step in range(steps):
            index = order[:, step * size : (step + 1) * size]
            labels = self.train.labels[index]
            done = schedules.progress(self.recipe, epoch, step, steps)
            eps = self.eps * schedules.ramp(done, self.recipe.eps_warmup)
            if self.recipe.compile and isinstance(
                eps, float
            ):  # a number would be compiled into the step, anew for each
                eps = torch.full((), eps, device=self.device)
            given = {
                "x": self.batches.pixels(index),
                "targets": self.batches.targets(labels),
                "labels": labels,
                "eps": eps,
                "rate": schedules.learning_rate(self.recipe, epoch, step, steps),
                "decay": self.descent.decay(self.steps_done),
            }
            self.step(given | self.batches.random(size), momentum)
            self.steps_done += 1

    def _step(self, given: Given, momentum: float) -> None:
        """Gradients and update for one batch: a function of what it is given, and of what it changes in place."""
        random: dict[str, Any] = dict(given)
        x, targets, labels, eps, rate, decay = map(random.pop, ("x", "targets", "labels", "eps", "rate", "decay"))
        lowered = {name: value.to(self.dtype) for name, value in self.parameters.items()}
        gradients, (loss, logits) = self.step_gradients(lowered, random, x, targets, eps)
        self.descent.step(gradients, rate, momentum, decay)
        self.loss_sum += loss
        self.errors += (logits.argmax(-1) != labels).sum(-1)

    def read(self, split: Split) -> tuple[list[float], list[float]]:
        """Mean cross-entropy of each replica on a split, and its error."""
        return readings.loss_and_error(self.loss, self.kept, split)

    def error_under_attack(self, split: Split, watch: WatchSpec) -> float:
        """Error of the only replica under the attack of ``watch`` on a split."""
        return readings.error_under_attack(self.loss, self.kept, split, watch)

    def objective_on(self, split: Split) -> float:
        """The training objective of the only replica on a split, with dropout, over whole batches."""
        return readings.objective_value(self.loss, self.kept, self.batches, split, self.eps)

    def replicas(self) -> list[Replica]:
        """The replicas as they are, with copies of their parameters."""
        return [
            Replica(seed, self.parameters_of(i), self.history[i], self.diverged[i]) for i, seed in enumerate(self.seeds)
        ]

    def parameters_of(self, i: int) -> dict[str, Tensor]:
        """A copy of the parameters of replica i after its last finite epoch."""
        return {name: value[i].clone() for name, value in self.kept.items()}

    def state(self) -> State:
        """A copy, on the CPU, of all that epochs change."""
        tensors = self.descent.state()
        for part, values in (("parameters", self.parameters), ("kept", self.kept)):
            tensors |= {f"{part}/{name}": value for name, value in values.items()}
        for part, generators in self.batches.generators.items():
            tensors |= {f"{part}/{i}": generator.get_state() for i, generator in enumerate(generators)}
        # Rows never change once their epoch is over: of the history, the lists alone are copied.
        history = [list(rows) for rows in self.history]
        facts = {"history": history, "diverged": list(self.diverged), "steps_done": self.steps_done}
        # Off a GPU's memory, which was measured without copies.
        return State({name: value.to("cpu", copy=True) for name, value in tensors.items()}, facts)

    def restore(self, state: State) -> None:
        """Go back to a state of a stack of the same seeds and spec."""
        self.descent.restore(state.tensors)
        for part, values in (("parameters", self.parameters), ("kept", self.kept)):
            for name, value in values.items():
                value.copy_(state.tensors[f"{part}/{name}"])
        for part, generators in self.batches.generators.items():
            for i, generator in enumerate(generators):
                generator.set_state(state.tensors[f"{part}/{i}"])
        self.history, self.diverged = state.facts["history"], state.facts["diverged"]
        self.steps_done = state.facts["steps_done"]

    def start_from(self, parameters: Mapping[str, Tensor]) -> None:
        """Set the only replica, and the average of its steps, to these parameters."""
        for values in (self.parameters, self.kept, self.descent.averages or {}):
            for name, value in values.items():
                value[0] = parameters[name]

    def _freeze_diverged(self, epoch: int) -> None:
        """Keep the parameters of every replica that is still finite; put those of the others back to what was kept."""
        finite = self.loss_sum.isfinite()
        for value in self.parameters.values():
            finite = finite & value.flatten(1).isfinite().all(1)
        # The loss of a step is that before it: after the last one, finite parameters may have answers that are not.
        ended = self.descent.averages or self.parameters
        finite = finite & readings.has_finite_answers(self.loss, ended, self.train)
        for i, is_finite in enumerate(finite.tolist()):
            if not is_finite and self.diverged[i] is None:
                self.diverged[i] = epoch
            for name, kept in self.kept.items():
                if self.diverged[i] is None:
                    kept[i] = ended[name][i]
                else:
                    self.parameters[name][i] = kept[i]


def _unstacked(step: Callable[..., Any], context: Callable[[], AbstractContextManager[None]]) -> Callable[..., Any]:
    """``step`` for a stack of one, without the cost of vmap, in a context."""

    def call(parameters: Mapping[str, Tensor], random: Mapping[str, Tensor], x: Tensor, y: Tensor, eps: Any) -> Any:
        single, drawn = ({name: value[0] for name, value in mapping.items()} for mapping in (parameters, random))
        with context():
            gradients, (loss, logits) = step(single, drawn, x[0], y[0], eps)
        return {name: value[None] for name, value in gradients.items()}, (loss[None], logits[None])

    return call


def _initial(
    spec: ModelSpec, train: Split, generators: Sequence[torch.Generator]
) -> tuple[nn.Module, dict[str, Tensor]]:
    """A network without storage, and the stacked initial parameters (R, ...) of all replicas, on train's device."""
    shape = tuple(train.images.shape[1:])
    models = [build(spec, shape, train.classes, generator) for generator in generators]
    check_parts(spec.kind, models[0])
    parameters, _ = stack_module_state(models)
    device = train.labels.device
    return models[0].to("meta"), {name: value.detach().to(device) for name, value in parameters.items()}

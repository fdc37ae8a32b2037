"""Training the replicas (seeds) of one cell together, in one process.

Each replica has its own initial weights and its own order of samples, drawn from its own generator, so its
result does not depend on which others share its block. On a GPU the replicas of a block are stacked along a
first dimension and stepped by one ``vmap``; on a CPU they take turns, which is as fast there and equal to the
bit to a replica trained alone. The inner loop waits for the device only where it hands over what was drawn at random.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.optim.sgd import sgd

from gradreg import draws, objectives
from gradreg.data.arrays import Split
from gradreg.models import Dropout, build, cap_norms

Row = dict[str, float]
EVALUATION_BATCH = 1000
NOISE_SEEDS = 2**32  # far from the seeds of anyone


@dataclass
class Replica:
    """One trained network: its parameters, one row of history per epoch, and the epoch at which it diverged."""

    seed: int
    parameters: dict[str, Tensor]
    history: list[Row]
    diverged: int | None


def train_block(
    seeds: Sequence[int],
    train: Split,
    held_out: Split | None,
    hp: Mapping[str, Any],
    device: torch.device,
    on_epoch: Callable[[int, list[Row]], None] = lambda epoch, rows: None,
) -> list[Replica]:
    """Train one replica per seed.

    hp has three parts: ``model`` (kind and settings), ``objective`` (kind, p, eps and the kind's settings) and
    ``train`` (epochs, batch_size, min_steps, lr, momentum, weight_decay, max_norm, eps_warmup). A batch is the whole
    training set where that is smaller; an epoch passes over the set as often as it takes to make min_steps steps.
    held_out, where given, is read once per epoch and influences nothing. ``on_epoch(epoch, rows)`` is called after
    each epoch with a row per replica.

    A replica whose loss stops being finite is put back to its state at the end of the last epoch that was finite,
    and stays there; its ``diverged`` is the epoch (from 1) in which that happened.
    """
    stacks = [list(seeds)] if device.type == "cuda" else [[seed] for seed in seeds]
    train = train.to(device)
    held_out = held_out.to(device) if held_out is not None else None
    groups = [_Stack(stack, train, held_out, hp) for stack in stacks]
    for epoch in range(1, hp["train"]["epochs"] + 1):
        on_epoch(epoch, [row for group in groups for row in group.run_epoch(epoch)])
    return [replica for group in groups for replica in group.replicas()]


class _Stack:
    """Replicas whose parameters are stacked along a first dimension and stepped together."""

    def __init__(self, seeds: Sequence[int], train: Split, held_out: Split | None, hp: Mapping[str, Any]) -> None:
        settings, objective = hp["train"], dict(hp["objective"])
        self.seeds, self.train, self.held_out = seeds, train, held_out
        self.batch, self.steps = batches(len(train), settings)
        self.steps_of_pass = len(train) // self.batch
        self.eps = objective.pop("eps", 0.0)
        self.objective = objectives.bind(**objective)
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        # Their own, so that an objective with noise sees the samples in the same order as one without.
        self.noise_generators = [torch.Generator().manual_seed(NOISE_SEEDS + seed) for seed in seeds]
        model, self.parameters = _initial(hp["model"], train, self.generators)
        self.dropouts = {name: layer for name, layer in model.named_modules() if isinstance(layer, Dropout)}
        self.kept = {name: value.clone() for name, value in self.parameters.items()}
        self.history: list[list[Row]] = [[] for _ in seeds]
        self.diverged: list[int | None] = [None] * len(seeds)

        def forward(values: objectives.Params, x: Tensor) -> Tensor:
            logits: Tensor = functional_call(model, dict(values), (x,))
            return logits

        def loss(
            values: objectives.Params, random: Mapping[str, Tensor], x: Tensor, y: Tensor, eps: float
        ) -> objectives.Result:
            masks = {name: value for name, value in random.items() if name != "draw"}
            return self.objective(
                lambda own, inputs: forward({**own, **masks}, inputs), values, x, y, eps, random.get("draw")
            )

        self.forward = forward
        step = grad_and_value(loss, has_aux=True)
        self.step_gradients = vmap(step, in_dims=(0, 0, 0, 0, None)) if len(seeds) > 1 else _unstacked(step)
        # The fused update rounds the body and the tail of a tensor differently: each replica has its own tensors.
        self.views = [(name, i, value[i]) for name, value in self.parameters.items() for i in range(len(seeds))]
        self.momenta: list[Tensor | None] = [None] * len(self.views)
        self.settings, self.total = settings, settings["epochs"] * self.steps

    def run_epoch(self, epoch: int) -> list[Row]:
        """A pass over the training set, or several (a last incomplete batch is left out); a row per replica."""
        device = self.train.labels.device
        order = torch.stack([self._order(generator) for generator in self.generators]).to(device)
        loss_sum = torch.zeros(len(self.seeds), device=device)
        errors = torch.zeros(len(self.seeds), device=device)
        for step in range(self.steps):
            index = order[:, step * self.batch : (step + 1) * self.batch]
            labels = self.train.labels[index]
            done = ((epoch - 1) * self.steps + step) / self.total
            eps = self.eps * ramp(done, self.settings["eps_warmup"])
            gradients, (loss, logits) = self.step_gradients(
                self.parameters, self._random(), self.train.pixels(index), labels, eps
            )
            self._descend(gradients, self.settings["lr"] * one_cycle(done))
            loss_sum += loss
            errors += (logits.argmax(-1) != labels).sum(-1)
        self._freeze_diverged(loss_sum, epoch)
        for i, rows in enumerate(self.history):
            alive = self.diverged[i] is None
            rows.append(
                {
                    "epoch": epoch,
                    "loss": loss_sum[i].item() / self.steps if alive else math.nan,
                    "error": errors[i].item() / (self.steps * self.batch) if alive else math.nan,
                }
            )
            if self.held_out is not None:
                rows[-1] |= self._read(self.held_out, i)
        return [rows[-1] for rows in self.history]

    def replicas(self) -> list[Replica]:
        """The replicas as they stand, each with tensors of its own."""
        return [
            Replica(
                seed,
                {name: value[i].clone() for name, value in self.kept.items()},
                self.history[i],
                self.diverged[i],
            )
            for i, seed in enumerate(self.seeds)
        ]

    def _order(self, generator: torch.Generator) -> Tensor:
        """The samples of an epoch, in the order in which they are seen."""
        passes = math.ceil(self.steps / self.steps_of_pass)
        whole = self.steps_of_pass * self.batch
        return torch.cat([torch.randperm(len(self.train), generator=generator)[:whole] for _ in range(passes)])

    def _random(self) -> dict[str, Tensor]:
        """What one step draws, stacked over replicas (R, N, ...): dropout masks, and ``draw`` for the objective."""
        drawn: dict[str, list[Tensor]] = {}
        for generator in self.noise_generators:
            for name, layer in self.dropouts.items():
                drawn.setdefault(f"{name}.mask", []).append(layer.draw(self.batch, generator))
            if self.objective.distribution:
                shape = (self.batch, *self.train.images.shape[1:])
                p = self.objective.p or math.inf
                drawn.setdefault("draw", []).append(draws.draw(self.objective.distribution, shape, generator, p))
        device = self.train.labels.device
        return {name: torch.stack(values).to(device) for name, values in drawn.items()}

    def _descend(self, gradients: Mapping[str, Tensor], lr: float) -> None:
        """One step of stochastic gradient descent with Nesterov momentum, then the cap on norms."""
        momentum = self.settings["momentum"]
        # The function beneath torch.optim.SGD; the class costs each job a second of imports.
        sgd(
            [view for _, _, view in self.views],
            [gradients[name][i] for name, i, _ in self.views],
            self.momenta,
            fused=True,
            weight_decay=self.settings["weight_decay"],
            momentum=momentum,
            lr=lr,
            dampening=0.0,
            nesterov=momentum > 0,
            maximize=False,
        )
        if self.settings["max_norm"] is not None:
            cap_norms(self.parameters, self.settings["max_norm"])

    def _freeze_diverged(self, loss_sum: Tensor, epoch: int) -> None:
        """Keep the parameters of every replica that is still finite; put those of the others back to what was kept."""
        finite = loss_sum.isfinite()
        for value in self.parameters.values():
            finite = finite & value.flatten(1).isfinite().all(1)
        for i, ok in enumerate(finite.tolist()):
            if not ok and self.diverged[i] is None:
                self.diverged[i] = epoch
            source, target = (self.parameters, self.kept) if self.diverged[i] is None else (self.kept, self.parameters)
            for name in source:
                target[name][i] = source[name][i]

    @torch.no_grad()
    def _read(self, split: Split, i: int) -> Row:
        """Mean cross-entropy and error of replica i on a split."""
        own = {name: value[i] for name, value in self.kept.items()}
        loss, wrong = 0.0, 0
        for start in range(0, len(split), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            logits, labels = self.forward(own, split.pixels(part)), split.labels[part]
            loss += torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item()
            wrong += int((logits.argmax(-1) != labels).sum())
        return {"held_out_loss": loss / len(split), "held_out_error": wrong / len(split)}


def batches(n_train: int, settings: Mapping[str, Any]) -> tuple[int, int]:
    """The images per step and the steps per epoch of a training set, by the settings batch_size and min_steps."""
    batch = min(settings["batch_size"], n_train)
    return batch, max(n_train // batch, settings["min_steps"])


def one_cycle(done: float, rise: float = 0.3) -> float:
    """The learning rate as a share of its largest value, after a share ``done`` of all steps.

    Half a cosine up from 1/25 until ``rise``, half a cosine down to 0 (Smith and Topin 2018, as commonly used).
    """
    if done < rise:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * done / rise)) / 2
    return (1 + math.cos(math.pi * (done - rise) / (1 - rise))) / 2


def ramp(done: float, share: float) -> float:
    """Rises linearly from 0 to 1 over the first ``share`` of all steps."""
    return min(1.0, done / share) if share else 1.0


def _unstacked(step: Callable[..., Any]) -> Callable[..., Any]:
    """``step`` for a stack of one, without the cost of vmap."""

    def call(parameters: Mapping[str, Tensor], random: Mapping[str, Tensor], x: Tensor, y: Tensor, eps: float) -> Any:
        own, drawn = ({name: value[0] for name, value in mapping.items()} for mapping in (parameters, random))
        gradients, (loss, logits) = step(own, drawn, x[0], y[0], eps)
        return {name: value[None] for name, value in gradients.items()}, (loss[None], logits[None])

    return call


def _initial(
    spec: Mapping[str, Any], train: Split, generators: Sequence[torch.Generator]
) -> tuple[torch.nn.Module, dict[str, Tensor]]:
    """A network without storage, and the stacked initial parameters (R, ...) of all replicas, on train's device."""
    kind, settings = spec["kind"], {k: v for k, v in spec.items() if k != "kind"}
    shape = tuple(train.images.shape[1:])
    models = [build(kind, shape, train.classes, settings, generator) for generator in generators]
    parameters, _ = stack_module_state(models)
    device = train.labels.device
    return models[0].to("meta"), {name: value.detach().to(device) for name, value in parameters.items()}

"""Replicas of one network, alike but for their seeds, that are trained together, step by step."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from gradreg import objectives
from gradreg import sampling as draws
from gradreg.data.splits import Split
from gradreg.models import checkpoint
from gradreg.models import preprocessing as inputs
from gradreg.models.layers import Dropout
from gradreg.training import schedules
from gradreg.training.checkpoints import State
from gradreg.training.compilation import Compiled
from gradreg.training.cuda_graph import Given, Recorded
from gradreg.training.optimizer import Descent

Row = dict[str, float]
EVALUATION_BATCH = 1000
PROBE_IMAGES, PROBE_STEPS = 100, (1, 5)
NOISE_SEEDS = 2**32  # far from the seeds of anyone


@dataclass
class Replica:
    """One trained network: its parameters and one row of history per epoch.

    diverged: the epoch in which it did; best_epoch: that of least held-out error, where that is looked for;
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

    hp as in ``training.train_block``; ``shared`` holds the compiled steps of stacks with the same hp, by their number
    of replicas. Raises ValueError for settings that do not fit the network.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        train: Split,
        held_out: Split | None,
        hp: Mapping[str, Any],
        whitening: inputs.Whitening | None = None,
        say: Callable[[str], None] = lambda text: None,
        shared: dict[int, Compiled] | None = None,
    ) -> None:
        settings, objective = hp["train"], dict(hp["objective"])
        self.seeds, self.train, self.held_out, self.settings = seeds, train, held_out, settings
        self.device = train.labels.device
        self.batch, self.steps = schedules.batches(len(train), settings)
        self.steps_of_pass = len(train) // self.batch
        self.eps = objective.pop("eps", 0.0)
        within = objective.pop("space", "pixels") == "whitened"
        self.objective = objectives.bind(**objective)
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        # Their own, so that an objective with noise sees the samples in the same order as one without.
        self.noise_generators = [torch.Generator(self.device).manual_seed(NOISE_SEEDS + seed) for seed in seeds]
        model, self.parameters = _initial(hp["model"], train, self.generators)
        self.dropouts = {name: layer for name, layer in model.named_modules() if isinstance(layer, Dropout)}
        self.descent = Descent(self.parameters, settings)
        self.dtype = torch.bfloat16 if settings["precision"] == "bfloat16" else torch.float32
        self.kept = {name: value.clone() for name, value in self.parameters.items()}
        self.history: list[list[Row]] = [[] for _ in seeds]
        self.diverged: list[int | None] = [None] * len(seeds)
        layer = inputs.layer(hp["model"].get("input", "pixels"), whitening).to(self.device)
        # Within the network's own space, what comes before it is no part of what is differentiated.
        self.to_space: nn.Module = layer if within else nn.Identity()
        first = nn.Identity() if within else layer

        def network(values: objectives.Params, x: Tensor) -> Tensor:
            """Logits from inputs of the objective's space, computed in the precision of the parameters."""
            dtype = next(iter(values.values())).dtype
            logits: Tensor = functional_call(model, dict(values), (first(x).to(dtype),))
            return logits.float()

        def loss(
            values: objectives.Params, random: Mapping[str, Tensor], x: Tensor, y: Tensor, eps: float
        ) -> objectives.Result:
            masks = {name: value for name, value in random.items() if name != "draw"}
            return self.objective(
                lambda own, x: network({**own, **masks}, x), values, self.to_space(x), y, eps, random.get("draw")
            )

        def gradients(values: objectives.Params, *given: Any) -> Any:
            return objectives.gradients(lambda own: loss(own, *given), values)

        self.network, self.loss = network, loss
        step = vmap(gradients, in_dims=(0, 0, 0, 0, None)) if len(seeds) > 1 else _unstacked(gradients)
        if settings["compile"]:  # once for all stacks of a block that are alike
            step = ({} if shared is None else shared).setdefault(len(seeds), Compiled(step, say))
        self.step_gradients = step
        self.loss_sum, self.errors = (torch.zeros(len(seeds), device=self.device) for _ in range(2))
        self.step = Recorded(self._step, self.device, say)
        self.steps_done = 0

    def run_epoch(self, epoch: int) -> list[Row]:
        """A pass over the training set, or several (a last incomplete batch is left out); a row per replica."""
        self.descend(epoch)
        self._freeze_diverged(epoch)
        values = {
            "loss": (self.loss_sum / self.steps).tolist(),
            "error": (self.errors / (self.steps * self.batch)).tolist(),
        }
        for i, diverged in enumerate(self.diverged):
            if diverged is not None:
                values["loss"][i] = values["error"][i] = math.nan
        if self.held_out is not None:
            values["held_out_loss"], values["held_out_error"] = self.read(self.held_out)
        values |= {f"probe_error_{steps}": self.probe(steps) for steps in PROBE_STEPS}
        for i, rows in enumerate(self.history):
            rows.append({"phase": 1, "epoch": epoch} | {name: own[i] for name, own in values.items()})
        return [rows[-1] for rows in self.history]

    def descend(self, epoch: int) -> None:
        """The steps of an epoch; the device is not waited for between them."""
        order = torch.stack([self._order(generator) for generator in self.generators]).to(self.device)
        self.loss_sum.zero_()
        self.errors.zero_()
        momentum = schedules.momentum(self.settings, epoch)
        for step in range(self.steps):
            index = order[:, step * self.batch : (step + 1) * self.batch]
            labels = self.train.labels[index]
            done = schedules.progress(self.settings, epoch, step, self.steps)
            eps = self.eps * schedules.ramp(done, self.settings["eps_warmup"])
            given = {
                "x": self._pixels(index),
                "targets": self._targets(labels),
                "labels": labels,
                # A number would be compiled into the step, anew for each.
                "eps": torch.full((), eps, device=self.device) if self.settings["compile"] else eps,
                "rate": schedules.learning_rate(self.settings, epoch, step, self.steps),
                "decay": self.descent.decay(self.steps_done),
            }
            self.step(given | self._random(self.batch), momentum)
            self.steps_done += 1

    def _step(self, given: Given, momentum: float) -> None:
        """Gradients and update for one batch: a function of what it is given, and of what it changes in place."""
        values: dict[str, Any] = dict(given)
        x, targets, labels, eps, rate, decay = map(values.pop, ("x", "targets", "labels", "eps", "rate", "decay"))
        lowered = {name: value.to(self.dtype) for name, value in self.parameters.items()}
        gradients, (loss, logits) = self.step_gradients(lowered, values, x, targets, eps)
        self.descent.step(gradients, rate, momentum, decay)
        self.loss_sum += loss
        self.errors += (logits.argmax(-1) != labels).sum(-1)

    def replicas(self) -> list[Replica]:
        """The replicas as they stand, each with tensors of its own."""
        return [
            Replica(seed, self.parameters_of(i), self.history[i], self.diverged[i]) for i, seed in enumerate(self.seeds)
        ]

    def parameters_of(self, i: int) -> dict[str, Tensor]:
        """A copy of the parameters of replica i after its last finite epoch."""
        return {name: value[i].clone() for name, value in self.kept.items()}

    def state(self) -> State:
        """A copy, on the CPU, of all that epochs change."""
        tensors = self.descent.state()
        for kind, own in (("parameters", self.parameters), ("kept", self.kept)):
            tensors |= {f"{kind}/{name}": value for name, value in own.items()}
        for kind, generators in self._generators.items():
            tensors |= {f"{kind}/{i}": generator.get_state() for i, generator in enumerate(generators)}
        # Rows never change once their epoch is over: of the history, the lists alone are copied.
        history = [list(rows) for rows in self.history]
        facts = {"history": history, "diverged": list(self.diverged), "steps_done": self.steps_done}
        # Off a GPU's memory, which was measured without copies.
        return State({name: value.to("cpu", copy=True) for name, value in tensors.items()}, facts)

    def restore(self, state: State) -> None:
        """Stand where the stack stood, one of the same seeds and hp, when it gave this state."""
        self.descent.restore(state.tensors)
        for kind, own in (("parameters", self.parameters), ("kept", self.kept)):
            for name, value in own.items():
                value.copy_(state.tensors[f"{kind}/{name}"])
        for kind, generators in self._generators.items():
            for i, generator in enumerate(generators):
                generator.set_state(state.tensors[f"{kind}/{i}"])
        self.history, self.diverged = state.facts["history"], state.facts["diverged"]
        self.steps_done = state.facts["steps_done"]

    @property
    def _generators(self) -> dict[str, list[torch.Generator]]:
        return {"order": self.generators, "noise": self.noise_generators}

    def start_from(self, parameters: Mapping[str, Tensor]) -> None:
        """Put the only replica where another one stands."""
        for own in (self.parameters, self.kept, self.descent.averages or {}):
            for name, value in own.items():
                value[0] = parameters[name]

    @torch.no_grad()
    def read(self, split: Split) -> tuple[list[float], list[float]]:
        """Mean cross-entropy of each replica on a split, and its error."""

        def sums(own: objectives.Params, x: Tensor, y: Tensor) -> Tensor:
            logits = self.network(own, x)
            wrong = (logits.argmax(-1) != y).sum()
            return torch.stack([F.cross_entropy(logits, y, reduction="sum").double(), wrong.double()])

        total = torch.zeros(len(self.seeds), 2, dtype=torch.double, device=self.device)
        for start in range(0, len(split), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            total += self._each(sums, self.to_space(split.pixels(part)), split.labels[part])
        losses, errors = (total / len(split)).T.tolist()
        return losses, errors

    def probe(self, steps: int) -> list[float]:
        """Error of each replica on the first training images, each moved by so many ascent steps to p-norm eps.

        The ball is that of its objective, at full eps. A network that withstands one step but not several has
        collapsed. nan where the objective's eps is no length, and for a replica that diverged.
        """
        p = self.objective.p
        if p is None or not self.objective.moves:
            return [math.nan] * len(self.seeds)
        part = slice(0, PROBE_IMAGES)

        def error(own: objectives.Params, x: Tensor, y: Tensor) -> Tensor:
            s = objectives.ascend(self.network, own, x, y, p=p, eps=self.eps, steps=steps)
            return (self.network(own, x + s).argmax(-1) != y).float().mean()

        errors: list[float] = self._each(
            error, self.to_space(self.train.pixels(part)), self.train.labels[part]
        ).tolist()
        return [value if at is None else math.nan for value, at in zip(errors, self.diverged, strict=True)]

    @torch.no_grad()
    def objective_on(self, split: Split) -> float:
        """The training objective of the only replica on a split, dropout and all, over whole batches."""
        own = {name: value[0] for name, value in self.kept.items()}
        values, batch = [], min(self.batch, len(split))
        for start in range(0, len(split) - batch + 1, batch):
            part = slice(start, start + batch)
            random = {name: value[0] for name, value in self._random(batch).items()}
            values.append(self.loss(own, random, split.pixels(part), self._targets(split.labels[part]), self.eps)[0])
        return float(torch.stack(values).mean())

    def _each(self, function: Callable[..., Tensor], *arguments: Tensor) -> Tensor:
        """``function(parameters, *arguments)`` of what is kept of each replica, (R, ...)."""
        if len(self.seeds) == 1:  # without the cost of vmap
            return function({name: value[0] for name, value in self.kept.items()}, *arguments)[None]
        return vmap(function, in_dims=(0, *[None] * len(arguments)))(self.kept, *arguments)

    def _order(self, generator: torch.Generator) -> Tensor:
        """The samples of an epoch, in the order in which they are seen."""
        passes = math.ceil(self.steps / self.steps_of_pass)
        whole = self.steps_of_pass * self.batch
        return torch.cat([torch.randperm(len(self.train), generator=generator)[:whole] for _ in range(passes)])

    def _pixels(self, index: Tensor) -> Tensor:
        """The indexed images (R, N, C, H, W), shifted and flipped where the recipe says so."""
        x = self.train.pixels(index)
        if self.settings["pad"] or self.settings["flip"]:
            x = torch.stack(
                [
                    augmented(own, self.settings["pad"], self.settings["flip"], generator)
                    for own, generator in zip(x, self.noise_generators, strict=True)
                ]
            )
        return x

    def _targets(self, labels: Tensor) -> Tensor:
        """The labels, or with label smoothing their distributions (..., classes)."""
        share: float = self.settings["label_smoothing"]
        if not share:
            return labels
        whole: Tensor = F.one_hot(labels, self.train.classes).float()
        return (1 - share) * whole + share / self.train.classes

    def _random(self, n: int) -> dict[str, Tensor]:
        """What a step on n images draws, over replicas (R, n, ...): dropout masks, and ``draw`` for the objective."""
        drawn: dict[str, list[Tensor]] = {}
        for generator in self.noise_generators:
            for name, layer in self.dropouts.items():
                drawn.setdefault(f"{name}.mask", []).append(layer.draw(n, generator))
            if self.objective.distribution:
                shape = (n, *self.train.images.shape[1:])
                p = self.objective.p or math.inf
                drawn.setdefault("draw", []).append(draws.draw(self.objective.distribution, shape, generator, p))
        return {name: torch.stack(values) for name, values in drawn.items()}

    def _freeze_diverged(self, epoch: int) -> None:
        """Keep the parameters of every replica that is still finite; put those of the others back to what was kept."""
        finite = self.loss_sum.isfinite()
        for value in self.parameters.values():
            finite = finite & value.flatten(1).isfinite().all(1)
        for i, ok in enumerate(finite.tolist()):
            if not ok and self.diverged[i] is None:
                self.diverged[i] = epoch
            for name, kept in self.kept.items():
                if self.diverged[i] is None:
                    kept[i] = (self.descent.averages or self.parameters)[name][i]
                else:
                    self.parameters[name][i] = kept[i]


def augmented(x: Tensor, pad: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Images (N, C, H, W), each mirrored or not, and cut at random out of itself with ``pad`` zeros around.

    Drawn from ``generator``, which lives on the device of x.
    """
    n, _, height, width = x.shape
    if flip:
        mirrored = torch.rand(n, 1, 1, 1, generator=generator, device=x.device) < 0.5
        x = torch.where(mirrored, x.flip(-1), x)
    if pad:
        corner = torch.randint(0, 2 * pad + 1, (2, n, 1), generator=generator, device=x.device)
        rows = corner[0] + torch.arange(height, device=x.device)
        columns = corner[1] + torch.arange(width, device=x.device)
        own = torch.arange(n, device=x.device).view(n, 1, 1)
        x = F.pad(x, (pad, pad, pad, pad))[own, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)
    return x


def _unstacked(step: Callable[..., Any]) -> Callable[..., Any]:
    """``step`` for a stack of one, without the cost of vmap."""

    def call(parameters: Mapping[str, Tensor], random: Mapping[str, Tensor], x: Tensor, y: Tensor, eps: float) -> Any:
        own, drawn = ({name: value[0] for name, value in mapping.items()} for mapping in (parameters, random))
        gradients, (loss, logits) = step(own, drawn, x[0], y[0], eps)
        return {name: value[None] for name, value in gradients.items()}, (loss[None], logits[None])

    return call


def _initial(
    spec: Mapping[str, Any], train: Split, generators: Sequence[torch.Generator]
) -> tuple[nn.Module, dict[str, Tensor]]:
    """A network without storage, and the stacked initial parameters (R, ...) of all replicas, on train's device."""
    shape = tuple(train.images.shape[1:])
    models = [checkpoint.build(spec, shape, train.classes, generator) for generator in generators]
    if list(models[0].buffers()):
        raise ValueError(
            f"model of kind {spec['kind']} has buffers; batch normalisation and the like, by which an image's loss "
            "depends on other images, have no place here"
        )
    parameters, _ = stack_module_state(models)
    device = train.labels.device
    return models[0].to("meta"), {name: value.detach().to(device) for name, value in parameters.items()}

"""Replicas of one network, alike but for their seeds, that are trained together, step by step."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.optim.sgd import sgd

from gradreg import draws, inputs, objectives, schedules
from gradreg.data.arrays import Split
from gradreg.models import Dropout, build, cap_norms
from gradreg.models.layers import is_weight

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

    hp as in ``training.train_block``. Raises ValueError for settings that do not fit the network.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        train: Split,
        held_out: Split | None,
        hp: Mapping[str, Any],
        whitening: inputs.Whitening | None = None,
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
        self.averages = (
            {name: value.clone() for name, value in self.parameters.items()} if settings["averaging"] else None
        )
        self.kept = {name: value.clone() for name, value in self.parameters.items()}
        self.history: list[list[Row]] = [[] for _ in seeds]
        self.diverged: list[int | None] = [None] * len(seeds)
        layer = inputs.layer(hp["model"].get("input", "pixels"), whitening).to(self.device)
        # Within the network's own space, what comes before it is no part of what is differentiated.
        self.to_space: nn.Module = layer if within else nn.Identity()
        first = nn.Identity() if within else layer

        def network(values: objectives.Params, x: Tensor) -> Tensor:
            """Logits from inputs of the objective's space."""
            logits: Tensor = functional_call(model, dict(values), (first(x),))
            return logits

        def loss(
            values: objectives.Params, random: Mapping[str, Tensor], x: Tensor, y: Tensor, eps: float
        ) -> objectives.Result:
            masks = {name: value for name, value in random.items() if name != "draw"}
            return self.objective(
                lambda own, x: network({**own, **masks}, x), values, self.to_space(x), y, eps, random.get("draw")
            )

        self.network, self.loss = network, loss
        step = grad_and_value(loss, has_aux=True)
        self.step_gradients = vmap(step, in_dims=(0, 0, 0, 0, None)) if len(seeds) > 1 else _unstacked(step)
        self.max_norm = per_layer("max_norm", settings["max_norm"], self.parameters)
        self.updates = self._updates()
        self.steps_done = 0

    def run_epoch(self, epoch: int) -> list[Row]:
        """A pass over the training set, or several (a last incomplete batch is left out); a row per replica."""
        order = torch.stack([self._order(generator) for generator in self.generators]).to(self.device)
        loss_sum = torch.zeros(len(self.seeds), device=self.device)
        errors = torch.zeros(len(self.seeds), device=self.device)
        momentum = schedules.momentum(self.settings, epoch)
        for step in range(self.steps):
            index = order[:, step * self.batch : (step + 1) * self.batch]
            labels = self.train.labels[index]
            done = schedules.progress(self.settings, epoch, step, self.steps)
            eps = self.eps * schedules.ramp(done, self.settings["eps_warmup"])
            gradients, (loss, logits) = self.step_gradients(
                self.parameters, self._random(self.batch), self._pixels(index), self._targets(labels), eps
            )
            self._descend(gradients, schedules.learning_rate(self.settings, epoch, step, self.steps), momentum)
            loss_sum += loss
            errors += (logits.argmax(-1) != labels).sum(-1)
        self._freeze_diverged(loss_sum, epoch)
        for i, rows in enumerate(self.history):
            alive = self.diverged[i] is None
            rows.append(
                {
                    "phase": 1,
                    "epoch": epoch,
                    "loss": loss_sum[i].item() / self.steps if alive else math.nan,
                    "error": errors[i].item() / (self.steps * self.batch) if alive else math.nan,
                }
            )
            if self.held_out is not None:
                loss_there, error_there = self.read(self.held_out, i)
                rows[-1] |= {"held_out_loss": loss_there, "held_out_error": error_there}
            rows[-1] |= {f"probe_error_{steps}": self.probe(i, steps) for steps in PROBE_STEPS}
        return [rows[-1] for rows in self.history]

    def replicas(self) -> list[Replica]:
        """The replicas as they stand, each with tensors of its own."""
        return [
            Replica(seed, self.parameters_of(i), self.history[i], self.diverged[i]) for i, seed in enumerate(self.seeds)
        ]

    def parameters_of(self, i: int) -> dict[str, Tensor]:
        """A copy of the parameters of replica i after its last finite epoch."""
        return {name: value[i].clone() for name, value in self.kept.items()}

    def start_from(self, parameters: Mapping[str, Tensor]) -> None:
        """Put the only replica where another one stands."""
        for own in (self.parameters, self.kept, self.averages or {}):
            for name, value in own.items():
                value[0] = parameters[name]

    @torch.no_grad()
    def read(self, split: Split, i: int) -> tuple[float, float]:
        """Mean cross-entropy and error of replica i on a split."""
        own = {name: value[i] for name, value in self.kept.items()}
        loss, wrong = 0.0, 0
        for start in range(0, len(split), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            logits, labels = self.network(own, self.to_space(split.pixels(part))), split.labels[part]
            loss += F.cross_entropy(logits, labels, reduction="sum").item()
            wrong += int((logits.argmax(-1) != labels).sum())
        return loss / len(split), wrong / len(split)

    def probe(self, i: int, steps: int) -> float:
        """Error of replica i on the first training images, each moved by so many ascent steps to p-norm eps.

        The ball is that of its objective, at full eps. A network that withstands one step but not several has
        collapsed. nan where the objective's eps is no length, and for a replica that diverged.
        """
        p = self.objective.p
        if p is None or not self.objective.moves or self.diverged[i] is not None:
            return math.nan
        own = {name: value[i] for name, value in self.kept.items()}
        part = slice(0, PROBE_IMAGES)
        x, y = self.to_space(self.train.pixels(part)), self.train.labels[part]
        s = objectives.ascend(self.network, own, x, y, p=p, eps=self.eps, steps=steps)
        with torch.no_grad():
            return float((self.network(own, x + s).argmax(-1) != y).float().mean())

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

    def _updates(self) -> list[tuple[float, list[tuple[str, int, Tensor]], list[Tensor | None]]]:
        """What is stepped with the same learning rate: its share of the rate, (name, replica, values), momenta."""
        shares = per_layer("lr_factors", self.settings["lr_factors"], self.parameters)
        groups: dict[float, list[tuple[str, int, Tensor]]] = {}
        for name, value in self.parameters.items():
            share = shares.get(name, 1.0) if isinstance(shares, Mapping) else 1.0
            # The fused update rounds the body and the tail of a tensor differently: each replica has its own tensors.
            groups.setdefault(share, []).extend((name, i, value[i]) for i in range(len(self.seeds)))
        return [(share, views, [None] * len(views)) for share, views in groups.items()]

    def _descend(self, gradients: Mapping[str, Tensor], lr: float, momentum: float) -> None:
        """One step of stochastic gradient descent with momentum, the cap on norms, and the average over steps."""
        for share, views, momenta in self.updates:
            # The function beneath torch.optim.SGD; the class costs each job a second of imports.
            sgd(
                [view for _, _, view in views],
                [gradients[name][i] for name, i, _ in views],
                momenta,
                fused=True,
                weight_decay=self.settings["weight_decay"],
                momentum=momentum,
                lr=lr * share,
                dampening=0.0,
                nesterov=self.settings["nesterov"] and momentum > 0,
                maximize=False,
            )
        if self.max_norm is not None:
            cap_norms(self.parameters, self.max_norm)
        self.steps_done += 1
        if self.averages is not None:
            # A shorter memory at first, so that the initial weights do not linger.
            decay = min(self.settings["averaging"], self.steps_done / (self.steps_done + 9))
            for name, value in self.averages.items():
                value.lerp_(self.parameters[name], 1 - decay)

    def _freeze_diverged(self, loss_sum: Tensor, epoch: int) -> None:
        """Keep the parameters of every replica that is still finite; put those of the others back to what was kept."""
        finite = loss_sum.isfinite()
        for value in self.parameters.values():
            finite = finite & value.flatten(1).isfinite().all(1)
        for i, ok in enumerate(finite.tolist()):
            if not ok and self.diverged[i] is None:
                self.diverged[i] = epoch
            for name, kept in self.kept.items():
                if self.diverged[i] is None:
                    kept[i] = (self.averages or self.parameters)[name][i]
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


def per_layer(
    key: str, values: float | Sequence[float] | None, parameters: Mapping[str, Tensor]
) -> float | dict[str, float] | None:
    """A setting that is one value for all or a list with one per layer with weights; a list becomes name -> value.

    parameters are stacked, (R, ...). Raises ValueError for a list of another length.
    """
    if values is None or isinstance(values, int | float):
        return values
    layers = [name.removesuffix("weight") for name, value in parameters.items() if is_weight(name, value[0])]
    if len(values) != len(layers):
        raise ValueError(f"{key} has {len(values)} values, but the network {len(layers)} layers with weights")
    return {
        name: value
        for layer, value in zip(layers, values, strict=True)
        for name in parameters
        if name.startswith(layer)
    }


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
    models = [build(spec, shape, train.classes, generator) for generator in generators]
    if list(models[0].buffers()):
        raise ValueError(
            f"model of kind {spec['kind']} has buffers; batch normalisation and the like, by which an image's loss "
            "depends on other images, have no place here"
        )
    parameters, _ = stack_module_state(models)
    device = train.labels.device
    return models[0].to("meta"), {name: value.detach().to(device) for name, value in parameters.items()}

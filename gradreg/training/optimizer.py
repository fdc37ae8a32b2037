"""Descent on stacked parameters: the update, the cap on norms, the average over steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from gradreg.models.layers import cap_norms, is_weight
from gradreg.planning.specs import Recipe

Number = float | Tensor
ADAMW_EPS = 1e-8  # added to the root of the mean of squared gradients


@dataclass
class _Alike:
    """What is stepped with the same rate: names and replicas, their values, and what steps keep of each."""

    names: list[tuple[str, int]]
    values: list[Tensor]
    kept: dict[str, list[Tensor]]


class Descent:
    """Steps of stochastic gradient descent with momentum, or of AdamW, on parameters (R, ...), in place.

    ``averages`` is the running average over steps of each parameter, where the
    recipe has one. Raises ValueError for settings that do not fit the network.
    """

    def __init__(self, parameters: dict[str, Tensor], recipe: Recipe) -> None:
        self.parameters, self.recipe = parameters, recipe
        self.averages = {name: value.clone() for name, value in parameters.items()} if recipe.averaging else None
        self.max_norm = per_layer("max_norm", recipe.max_norm, parameters)
        shares = per_layer("lr_factors", recipe.lr_factors, parameters)
        self.alike: dict[float, _Alike] = {}  # by their share of the rate
        for name, stack in parameters.items():
            share = shares.get(name, 1.0) if isinstance(shares, Mapping) else 1.0
            alike = self.alike.setdefault(share, _Alike([], [], {key: [] for key in self._begun(stack[0])}))
            # The fused update rounds the body and the tail of a tensor differently: each replica has its own tensors.
            for i, value in enumerate(stack):
                alike.names.append((name, i))
                alike.values.append(value)
                for key, begun in self._begun(value).items():
                    alike.kept[key].append(begun)

    def _begun(self, value: Tensor) -> dict[str, Tensor]:
        """What steps keep of a parameter, before the first one."""
        momenta = {"momenta": torch.zeros_like(value)}
        if self.recipe.optimizer == "sgd":
            return momenta
        return momenta | {"squares": torch.zeros_like(value), "steps": torch.zeros((), device=value.device)}

    def state(self) -> dict[str, Tensor]:
        """The tensors that steps change beside the parameters: ``momenta/NAME/REPLICA``, and others by their names."""
        tensors = {f"averages/{name}": value for name, value in (self.averages or {}).items()}
        for alike in self.alike.values():
            for key, kept in alike.kept.items():
                named = zip(alike.names, kept, strict=True)
                tensors |= {f"{key}/{name}/{i}": value for (name, i), value in named}
        return tensors

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what ``state`` returned; other entries of a mapping are left alone."""
        for name, value in (self.averages or {}).items():
            value.copy_(state[f"averages/{name}"])
        for alike in self.alike.values():
            for key, kept in alike.kept.items():
                for k, (name, i) in enumerate(alike.names):
                    kept[k] = state[f"{key}/{name}/{i}"].to(alike.values[k].device, copy=True)

    def decay(self, steps: int) -> float:
        """The decay of the average after ``steps`` steps: a shorter memory at first, so that the start fades."""
        return float(min(self.recipe.averaging, (steps + 1) / (steps + 10)))

    def step(self, gradients: Mapping[str, Tensor], rate: Number, momentum: float, decay: Number) -> None:
        """One step along gradients (R, ...); rate and decay are numbers, or scalar tensors on a GPU."""
        # The functions beneath torch.optim.SGD and AdamW; the classes cost each job a second of imports.
        for share, alike in self.alike.items():
            named = zip(alike.names, alike.values, strict=True)
            # The fused update goes along memory: second derivatives of convolutions lie there in another order.
            slopes = [gradients[name][i].to(value.dtype).contiguous() for (name, i), value in named]
            common: dict[str, Any] = {"weight_decay": self.recipe.weight_decay, "maximize": False, "fused": True}
            common["lr"] = rate * share
            if self.recipe.optimizer == "sgd":
                momenta: Any = alike.kept["momenta"]
                nesterov = self.recipe.nesterov and momentum > 0
                # From zeros: where the first step made them, a recorded one would make them anew in each replay.
                sgd(alike.values, slopes, momenta, momentum=momentum, dampening=0.0, nesterov=nesterov, **common)
            else:
                moments: Any = [alike.kept["momenta"], alike.kept["squares"], [], alike.kept["steps"]]
                common |= {"beta1": momentum, "beta2": self.recipe.beta2, "eps": ADAMW_EPS, "amsgrad": False}
                adamw(alike.values, slopes, *moments, **common)
        if self.max_norm is not None:
            cap_norms(self.parameters, self.max_norm)
        for name, value in (self.averages or {}).items():
            value.lerp_(self.parameters[name], 1 - decay)


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

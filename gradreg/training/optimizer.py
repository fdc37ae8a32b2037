"""Gradient descent on stacked parameters: the update, the cap on norms, the average over steps."""

from collections.abc import Mapping, Sequence

from torch import Tensor
from torch.optim.sgd import sgd

from gradreg.models.layers import cap_norms, is_weight
from gradreg.planning.specs import Recipe

Number = float | Tensor


class Descent:
    """Steps of stochastic gradient descent with momentum on parameters (R, ...), in place.

    ``averages`` is the running average over steps of each parameter, where the
    recipe has one. Raises ValueError for settings that do not fit the network.
    """

    def __init__(self, parameters: dict[str, Tensor], recipe: Recipe) -> None:
        self.parameters, self.recipe = parameters, recipe
        self.averages = {name: value.clone() for name, value in parameters.items()} if recipe.averaging else None
        self.max_norm = per_layer("max_norm", recipe.max_norm, parameters)
        shares = per_layer("lr_factors", recipe.lr_factors, parameters)
        # What is stepped with the same learning rate: its share of the rate, (name, replica, values), momenta.
        self.groups: dict[float, tuple[list[tuple[str, int, Tensor]], list[Tensor | None]]] = {}
        for name, stack in parameters.items():
            share = shares.get(name, 1.0) if isinstance(shares, Mapping) else 1.0
            views, momenta = self.groups.setdefault(share, ([], []))
            # The fused update rounds the body and the tail of a tensor differently: each replica has its own tensors.
            views += [(name, i, value) for i, value in enumerate(stack)]
            momenta += [None] * len(stack)

    def state(self) -> dict[str, Tensor]:
        """The tensors that steps change beside the parameters: ``momenta/NAME/REPLICA``, and ``averages/NAME``."""
        tensors = {f"averages/{name}": value for name, value in (self.averages or {}).items()}
        for views, momenta in self.groups.values():
            for (name, i, _), value in zip(views, momenta, strict=True):
                if value is not None:  # it is made by the first step
                    tensors[f"momenta/{name}/{i}"] = value
        return tensors

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what ``state`` returned; other entries of a mapping are left alone."""
        for name, value in (self.averages or {}).items():
            value.copy_(state[f"averages/{name}"])
        for views, momenta in self.groups.values():
            for k, (name, i, value) in enumerate(views):
                saved = state.get(f"momenta/{name}/{i}")
                momenta[k] = None if saved is None else saved.to(value.device, copy=True)

    def decay(self, steps: int) -> float:
        """The decay of the average after ``steps`` steps: a shorter memory at first, so that the start fades."""
        return float(min(self.recipe.averaging, (steps + 1) / (steps + 10)))

    def step(self, gradients: Mapping[str, Tensor], rate: Number, momentum: float, decay: Number) -> None:
        """One step along gradients (R, ...); rate and decay are numbers, or scalar tensors on a GPU."""
        for share, (views, momenta) in self.groups.items():
            # The function beneath torch.optim.SGD; the class costs each job a second of imports.
            sgd(
                [value for _, _, value in views],
                # The fused update goes along memory: second derivatives of convolutions lie there in another order.
                [gradients[name][i].to(value.dtype).contiguous() for name, i, value in views],
                momenta,
                fused=True,
                weight_decay=self.recipe.weight_decay,
                momentum=momentum,
                lr=rate * share,
                dampening=0.0,
                nesterov=self.recipe.nesterov and momentum > 0,
                maximize=False,
            )
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

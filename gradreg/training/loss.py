"""The objective on a network, as a function of its parameters and of a batch."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from gradreg.objectives.binding import Objective
from gradreg.objectives.differentiation import Params, Result, Strength, gradients


class TrainingLoss:
    """An objective on a network, which is an input layer and a module.

    ``to_space`` takes images to where the objective's x, steps and eps live: pixels or, with ``whitened``, the output
    of the input layer. Parameters are those of the module.
    """

    def __init__(self, module: nn.Module, layer: nn.Module, objective: Objective, whitened: bool) -> None:
        self.module, self.objective = module, objective
        self.to_space: nn.Module = layer if whitened else nn.Identity()
        self.first: nn.Module = nn.Identity() if whitened else layer

    def logits(self, parameters: Params, x: Tensor) -> Tensor:
        """Logits (N, classes) of x in the objective's space, computed in the precision of the parameters."""
        dtype = next(iter(parameters.values())).dtype
        logits: Tensor = functional_call(self.module, dict(parameters), (self.first(x).to(dtype),))
        return logits.float()

    def __call__(self, parameters: Params, random: Params, x: Tensor, y: Tensor, eps: Strength) -> Result:
        """(loss, logits) of images x (N, C, H, W) with labels or distributions y; random: masks by name, ``draw``."""
        masks = {name: value for name, value in random.items() if name != "draw"}

        def forward(values: Params, inputs: Tensor) -> Tensor:
            return self.logits({**values, **masks}, inputs)

        return self.objective(forward, parameters, self.to_space(x), y, eps, random.get("draw"))

    def gradients(self, parameters: Params, *batch: Any) -> tuple[Mapping[str, Tensor], Result]:
        """The gradients for the parameters, and (loss, logits), of a batch as in a call."""
        slopes, result = gradients(lambda values: self(values, *batch), parameters)
        return slopes, result

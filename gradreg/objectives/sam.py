"""The same step on the weights in place of the images."""

import torch
from torch import Tensor

from gradreg.norms import steepest_step
from gradreg.objectives.differentiation import Forward, Params, Result, Strength, gradients, summed
from gradreg.objectives.plain import plain


def sam(forward: Forward, params: Params, x: Tensor, y: Tensor, *, p: float, eps: Strength) -> Result:
    """L at the parameters w + e, with e the steepest step of p-norm eps of all parameters together, held constant.

    p = 2: sharpness-aware minimisation (Foret et al. 2021). eps is a length in the space of the parameters.
    """
    frozen = {name: value.detach() for name, value in params.items()}
    slopes, _ = gradients(lambda values: summed(forward, values, x, y), frozen)
    flat = torch.cat([slopes[name].flatten() for name in params])
    step = steepest_step(flat[None], p, eps)[0].detach()
    parts = step.split([value.numel() for value in params.values()])
    moved = {name: value + part.view_as(value) for (name, value), part in zip(params.items(), parts, strict=True)}
    return plain(forward, moved, x, y)

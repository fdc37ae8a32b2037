"""One step, and a penalty on gradients that turn within the ball."""

import torch
from torch import Tensor

from gradreg.norms import norm, steepest_step
from gradreg.objectives.differentiation import Forward, Params, Result, Strength, least_length, with_gradient
from gradreg.objectives.plain import plain


def alignment(
    forward: Forward, params: Params, x: Tensor, y: Tensor, *, p: float, eps: Strength, weight: float, draw: Tensor
) -> Result:
    """L(x + s) + weight * (1 - cos(g(x), g(x + r))), with s the constant steepest step and r = eps * draw.

    The one-step loss with a penalty on gradients that turn within the ball, by double backpropagation; draw lies in
    the unit p-ball. p = inf: GradAlign (Andriushchenko and Flammarion 2020). A sample whose gradient is zero, or too
    small for its direction to be known, at either place counts as aligned.
    """
    here, _, _ = with_gradient(forward, params, x, y)
    there, _, _ = with_gradient(forward, params, x + eps * draw, y)
    loss, logits = plain(forward, params, x + steepest_step(here.detach(), p, eps), y)
    lengths = norm(here, 2), norm(there, 2)
    defined = (lengths[0] > least_length(here)) & (lengths[1] > least_length(there))
    # Divided before they are multiplied: products of small gradients underflow.
    units = [
        g.flatten(1) / torch.where(defined, length, 1).unsqueeze(1)
        for g, length in zip((here, there), lengths, strict=True)
    ]
    turn = torch.where(defined, 1 - (units[0] * units[1]).sum(1), 0)
    return loss + weight * turn.mean(), logits

"""The loss at perturbed images: mixed with that on clean ones, from random starts, along random directions."""

import torch
from torch import Tensor

from gradreg.norms import norm
from gradreg.objectives.differentiation import Forward, Params, Result, Strength
from gradreg.objectives.plain import plain


def mixed(forward: Forward, params: Params, x: Tensor, y: Tensor, s: Tensor, alpha: Strength) -> Result:
    """alpha * L(x) + (1 - alpha) * L(x + s), and the logits at x + s."""
    loss, logits = plain(forward, params, x + s, y)
    if mixes(alpha):
        loss = alpha * plain(forward, params, x, y)[0] + (1 - alpha) * loss
    return loss, logits


def mixes(alpha: Strength) -> bool:
    """Whether the clean loss counts: alpha may differ from 0. The value of a tensor is not read."""
    return isinstance(alpha, Tensor) or alpha != 0


def random_start(draw: Tensor | None, start: float, eps: Strength) -> Tensor | float:
    """start * eps * draw, draw in the unit p-ball; 0 without a start. Raises ValueError where draw is missing."""
    if not start:
        return 0.0
    if draw is None:
        raise ValueError("a random start needs draw, a tensor like x in the unit p-ball")
    return start * eps * draw


def scaled(draw: Tensor, p: float, eps: Strength) -> Tensor:
    """``draw`` (N, ...) scaled to p-norm eps, per sample."""
    length = norm(draw, p)
    moved: Tensor = eps * draw / torch.where(length > 0, length, 1).view(-1, *[1] * (draw.ndim - 1))
    return moved

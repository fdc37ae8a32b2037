"""Steps in the ball of each of several norms, and the mean of their losses."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gradreg.norms import steepest_step
from gradreg.objectives.ascent import ascend
from gradreg.objectives.differentiation import Forward, Params, Result, Strength, input_gradient
from gradreg.objectives.perturbed import mixes
from gradreg.objectives.plain import plain


def average_norm(
    forward: Forward,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    p: Sequence[float],
    eps: Sequence[float] | Tensor,
    steps: int = 1,
    step: float | None = None,
    alpha: Strength = 0.0,
) -> Result:
    """alpha * L(x) + (1 - alpha) * mean_k L(x + s_k), with s_k of p_k-norm eps_k, held constant.

    One step is that of ``perturb``, all from one gradient; several are those of ``ascent.ascend``. The logits are those
    of the last norm. The strategy "avg" of Tramèr and Boneh (2019). Raises ValueError like ``ascend``.
    """
    balls = list(zip(p, eps, strict=True))
    if steps == 1 and step is None:
        g = input_gradient(forward, params, x, y)
        moves = [steepest_step(g, one, size) for one, size in balls]
    else:
        moves = [ascend(forward, params, x, y, p=one, eps=size, steps=steps, step=step) for one, size in balls]
    losses = []
    for s in moves:
        loss, logits = plain(forward, params, x + s, y)
        losses.append(loss)
    loss = torch.stack(losses).mean()
    if mixes(alpha):
        loss = alpha * plain(forward, params, x, y)[0] + (1 - alpha) * loss
    return loss, logits

"""Many steps inside the ball."""

from torch import Tensor

from gradreg.objectives.ascent import ascend
from gradreg.objectives.differentiation import Forward, Params, Result, Strength
from gradreg.objectives.perturbed import mixed


def adversarial(
    forward: Forward,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    p: float,
    eps: Strength,
    steps: int,
    step: float | None = None,
    start: float = 0.0,
    draw: Tensor | None = None,
    alpha: Strength = 0.0,
    direction: float | None = None,
) -> Result:
    """alpha * L(x) + (1 - alpha) * L(x + s), with s from ``ascend``, held constant (Madry et al. 2018).

    For p = 1, Jiang et al. (2023) take one short step in the direction of p = 2, from a random start, with twice the
    eps that is attacked; their code also clips to [0, 1].
    """
    s = ascend(forward, params, x, y, p=p, eps=eps, steps=steps, step=step, start=start, draw=draw, direction=direction)
    return mixed(forward, params, x, y, s, alpha)

"""Random noise of length eps."""

from torch import Tensor

from gradreg.objectives.differentiation import Forward, Params, Result, Strength
from gradreg.objectives.perturbed import mixed, scaled


def noise(
    forward: Forward,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    p: float,
    eps: Strength,
    draw: Tensor,
    alpha: Strength = 0.0,
) -> Result:
    """alpha * L(x) + (1 - alpha) * L(x + s), with s the random ``draw`` scaled to p-norm eps.

    The control that has the size of the perturbation but not its direction (Goodfellow et al. 2015, section 6).
    """
    return mixed(forward, params, x, y, scaled(draw, p, eps), alpha)

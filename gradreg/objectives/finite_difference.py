"""The norm of the input gradient, by a difference quotient."""

from torch import Tensor

from gradreg.norms import steepest_step
from gradreg.objectives.differentiation import (
    Forward,
    Params,
    Result,
    Strength,
    loss_and_gradient,
    losses,
    with_gradient,
)
from gradreg.objectives.perturb import perturb
from gradreg.objectives.plain import plain


def finite_difference(
    forward: Forward,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    p: float,
    eps: Strength,
    h: float,
    order: int = 1,
    power: int = 1,
) -> Result:
    """L(x) + eps * D^power, with D ~ ||g||_q the difference quotient along the steepest step s of p-norm h.

    D = (L(x + s) - L(x)) / h for order 1 (Finlay and Oberman 2021 for power 2), (L(x + s) - L(x - s)) / 2h for
    order 2; s is held constant, so no second derivatives are needed. Order 1 with power 1 equals ``perturb`` with
    a step of size h and alpha = 1 - eps / h. Raises ValueError for another order or power.
    """
    for name, value in (("order", order), ("power", power)):
        if value not in (1, 2):
            raise ValueError(f"{name} must be 1 or 2, got {value}")
    if order == power == 1:
        return perturb(forward, params, x, y, p=p, eps=h, alpha=1 - eps / h)
    if power == 1:
        g, clean = loss_and_gradient(forward, params, x, y)
        s = steepest_step(g, p, h)
        ahead, logits = plain(forward, params, x + s, y)
        return clean + eps * (ahead - plain(forward, params, x - s, y)[0]) / (2 * h), logits
    g, here, _ = with_gradient(forward, params, x, y)
    s = steepest_step(g.detach(), p, h)
    ahead, logits = losses(forward, params, x + s, y)
    behind, width = (here, h) if order == 1 else (losses(forward, params, x - s, y)[0], 2 * h)
    quotient = (ahead - behind) / width
    return (here + eps * quotient.pow(power)).mean(), logits

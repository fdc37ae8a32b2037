"""A penalty on how the gradient changes along a direction."""

from torch import Tensor

from gradreg.norms import dual_exponent, norm, steepest_step
from gradreg.objectives.differentiation import Forward, Params, Result, Strength, with_gradient
from gradreg.objectives.perturbed import scaled


def curvature(
    forward: Forward,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    p: float,
    eps: Strength,
    h: float,
    direction: str = "steepest",
) -> Result:
    """L(x) + eps * ||(g(x + h z) - g(x)) / h||_q^2, with z of p-norm 1, held constant.

    A penalty on how the gradient changes along z, by double backpropagation: z is its own steepest step, or with
    direction "sign" the sign of g, scaled. p = 2 and "sign": CURE (Moosavi-Dezfooli et al. 2019), with the factor
    1 / h^2 written out. Raises ValueError for another direction.
    """
    if direction not in ("steepest", "sign"):
        raise ValueError(f"direction must be steepest or sign, got {direction!r}")
    here, losses, logits = with_gradient(forward, params, x, y)
    g = here.detach()
    step = steepest_step(g, p, h) if direction == "steepest" else scaled(g.sign(), p, h)
    there, _, _ = with_gradient(forward, params, x + step, y)
    return (losses + eps * norm((there - here) / h, dual_exponent(p)).pow(2)).mean(), logits

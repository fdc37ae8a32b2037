"""A step away from the network's own answers: no labels are needed for it."""

from torch import Tensor

from gradreg.norms import steepest_step
from gradreg.objectives.differentiation import Forward, Params, Result, Strength, input_gradient
from gradreg.objectives.divergence import answers, divergence
from gradreg.objectives.perturbed import scaled
from gradreg.objectives.plain import plain


def virtual(
    forward: Forward,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    p: float,
    eps: Strength,
    h: float,
    draw: Tensor,
    weight: float = 1.0,
) -> Result:
    """L(x) + weight * KL(a(x) || a(x + s)), with a(x) the probabilities of the answers, held constant.

    s is the step of p-norm eps along which KL(a(x) || a(x + d)) grows fastest from d = h * draw, draw scaled to p-norm
    1: one power iteration for the direction of greatest curvature, whatever the label. p = 2, weight = 1: virtual
    adversarial training (Miyato et al. 2016).
    """
    loss, logits = plain(forward, params, x, y)
    own = answers(logits)
    # The cross-entropy for constant probabilities differs from the divergence by a constant.
    s = steepest_step(input_gradient(forward, params, x + scaled(draw, p, h), own.exp()), p, eps)
    return loss + weight * divergence(own, forward(params, x + s)).mean(), logits

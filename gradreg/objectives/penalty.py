"""The norm of the input gradient, by double backpropagation."""

from torch import Tensor

from gradreg.norms import dual_exponent, norm
from gradreg.objectives.differentiation import Forward, Params, Result, Strength, with_gradient


def penalty(
    forward: Forward, params: Params, x: Tensor, y: Tensor, *, p: float, eps: Strength, power: int = 1
) -> Result:
    """L(x) + eps * ||g||_q^power, the exact penalty, by double backpropagation.

    p = 2 and power = 2: Drucker and LeCun 1992. The norm is taken per sample, then averaged. Raises ValueError for
    another power than 1 or 2.
    """
    if power not in (1, 2):
        raise ValueError(f"power must be 1 or 2, got {power}")
    g, losses, logits = with_gradient(forward, params, x, y)
    return (losses + eps * norm(g, dual_exponent(p)).pow(power)).mean(), logits

"""One steepest step of length eps."""

import torch
from torch import Tensor

from gradreg.norms import norm, steepest_step, steepest_step_in_box
from gradreg.objectives.differentiation import (
    Forward,
    Params,
    Result,
    Strength,
    input_gradient,
    least_length,
    loss_and_gradient,
    with_gradient,
)
from gradreg.objectives.perturbed import mixed, mixes, random_start
from gradreg.objectives.plain import plain

BOXES = ("none", "clipped", "exact")


def perturb(
    forward: Forward,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    p: float,
    eps: Strength,
    alpha: Strength = 0.0,
    differentiate: bool = False,
    start: float = 0.0,
    draw: Tensor | None = None,
    box: str = "none",
) -> Result:
    """alpha * L(x) + (1 - alpha) * L(x + s), with s the steepest step of p-norm eps.

    To first order L(x + s) = L(x) + eps * ||g||_q (Lyu et al. 2015; alpha = 0.5 and p = inf: Goodfellow et al. 2015,
    section 6). The step is held constant, or with ``differentiate`` followed back to the parameters by second
    derivatives; these are zero for p = 1 and inf, and for p > 2 unbounded where an entry of g comes near zero. The step
    of a sample whose gradient is too small for a finite derivative is held constant. Without ``differentiate`` and
    without a start, a mixed loss has the right gradient for the parameters, but no second derivative of alpha * L(x).

    With ``start`` the step is taken from, and added to, a random start: s = r + steepest step at x + r, r = start *
    eps * draw, where draw lies in the unit p-ball. p = inf and start = 2 is N-FGSM (de Jorge et al. 2022).

    With ``box``, x + r and x + s stay in [0, 1], where x must lie: ``clipped``, as in the released code of N-FGSM, or
    by the steepest step there (``exact``, ``norms.steepest_step_in_box``). Such a step is held constant. Raises
    ValueError for another box, or with ``differentiate``.
    """
    if box not in BOXES or (box != "none" and differentiate):
        raise ValueError(f"box must be one of {', '.join(BOXES)}, and none with differentiate; got {box!r}")
    differentiate = differentiate and p not in (1, float("inf"))
    if mixes(alpha) and not start:  # L(x) and g from one forward pass
        if differentiate:
            g, losses, _ = with_gradient(forward, params, x, y)
            g, here = _held_where_tiny(g), losses.mean()
        else:
            g, here = loss_and_gradient(forward, params, x, y)
        loss, logits = plain(forward, params, x + _step(x, g, p, eps, box), y)
        return alpha * here + (1 - alpha) * loss, logits
    origin = random_start(draw, start, eps)
    if box != "none":
        at = (x + origin).clamp(0, 1)
        g = input_gradient(forward, params, at, y)
        return mixed(forward, params, x, y, at + _step(at, g, p, eps, box) - x, alpha)
    if differentiate:
        g = _held_where_tiny(with_gradient(forward, params, x + origin, y)[0])
    else:
        g = input_gradient(forward, params, x + origin, y)
    return mixed(forward, params, x, y, origin + steepest_step(g, p, eps), alpha)


def _step(x: Tensor, g: Tensor, p: float, eps: Strength, box: str) -> Tensor:
    """The step at x along g, by what keeps it in the box."""
    if box == "exact":
        return steepest_step_in_box(g, x, p, eps)
    step = steepest_step(g, p, eps)
    return step if box == "none" else (x + step).clamp(0, 1) - x


def _held_where_tiny(g: Tensor) -> Tensor:
    """g, held constant for samples where it is shorter than ``least_length``."""
    tiny = norm(g.detach(), 2) < least_length(g)
    return torch.where(tiny.view(-1, *[1] * (g.ndim - 1)), g.detach(), g)

"""Steps that raise the loss inside the p-norm ball."""

import torch
from torch import Tensor

from gradreg.norms import project, steepest_step
from gradreg.objectives.differentiation import Forward, Params, Strength, input_gradient
from gradreg.objectives.perturbed import random_start

EXACT_PROJECTIONS = (1.0, 2.0, float("inf"))


def ascend(
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
) -> Tensor:
    """A perturbation of p-norm at most eps that raises the loss, the shape of x, by ``steps`` steps.

    For p in {1, 2, inf} projected ascent, s <- project(s + steepest step of size step * eps); step is 2.5 / steps
    unless given, and 1 for a single step. For other p, where no projection is exact, Frank-Wolfe, s <- s + 2 / (k + 2)
    * (steepest step of size eps - s), k = 0, 1, ... (Jaggi 2013), which has no step size and forgets its start
    (step and start must be left out). The start is 0, or start * eps * draw, draw in the unit p-ball and start at
    most 1. One step from 0 is that of ``perturb``. Raises ValueError as above.
    """
    projected = p in EXACT_PROJECTIONS
    if not projected and (step is not None or start):
        raise ValueError(f"for p = {p} the ascent is by Frank-Wolfe, which has no step and no start")
    if not 0 <= start <= 1:
        raise ValueError(f"start must be in [0, 1], got {start}")
    size = eps * ((2.5 / steps if steps > 1 else 1.0) if step is None else step)
    s: Tensor = torch.zeros_like(x) + random_start(draw, start, eps)
    for k in range(steps):
        g = input_gradient(forward, params, x + s, y)
        if projected:
            s = project(s + steepest_step(g, p, size), p, eps)
        else:
            s = s + 2 / (k + 2) * (steepest_step(g, p, eps) - s)
    return s

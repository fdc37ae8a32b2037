"""Steps that raise the loss inside the p-norm ball, or the balls of several norms."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gradreg.norms import of_largest, project, steepest_step
from gradreg.objectives.differentiation import Forward, Params, Strength, input_gradient
from gradreg.objectives.perturbed import random_start

EXACT_PROJECTIONS = (1.0, 2.0, float("inf"))
Choose = Callable[[Sequence[Tensor], Tensor, Tensor], Tensor]


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
    direction: float | None = None,
) -> Tensor:
    """A perturbation of p-norm at most eps that raises the loss, the shape of x, by ``steps`` steps.

    For p in {1, 2, inf} projected ascent, s <- project(s + steepest step of size step * eps); step is 2.5 / steps
    unless given, and 1 for a single step. For other p, where no projection is exact, Frank-Wolfe, s <- s + 2 / (k + 2)
    * (steepest step of size eps - s), k = 0, 1, ... (Jaggi 2013), which has no step size and forgets its start
    (step and start must be left out). The start is 0, or start * eps * draw, draw in the unit p-ball and start at
    most 1. One step from 0 is that of ``perturb``. With ``direction``, an exponent, steps before the projection are the
    steepest in that norm, and their size is in it; Frank-Wolfe has none. Raises ValueError as above.
    """
    if p not in EXACT_PROJECTIONS and (step is not None or start or direction is not None):
        raise ValueError(f"for p = {p} the ascent is by Frank-Wolfe, which has no step, no start and no direction")
    if not 0 <= start <= 1:
        raise ValueError(f"start must be in [0, 1], got {start}")
    s: Tensor = torch.zeros_like(x) + random_start(draw, start, eps)
    for k in range(steps):
        g = input_gradient(forward, params, x + s, y)
        s = ascent_step(s, g, k, p=p, eps=eps, steps=steps, step=step, direction=direction)
    return s


def ascend_in_one_of(
    forward: Forward,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    p: Sequence[float],
    eps: Sequence[Strength] | Tensor,
    steps: int,
    step: float | None = None,
    choose: Choose,
) -> Tensor:
    """``ascend`` from 0 in the balls ||s||_{p_k} <= eps_k together, by one gradient per step.

    choose(candidates, s, g): one of the candidates, to which a step in each ball leads from s, where the gradient is g;
    per sample, or for all alike. Raises ValueError as above, and for several balls unless all p are in {1, 2, inf}: the
    steps of Frank-Wolfe would lead from one ball to a place between two.
    """
    if len(p) > 1 and not set(p) <= set(EXACT_PROJECTIONS):
        raise ValueError(f"several steps in several norms need p in (1, 2, inf), got {tuple(p)}")
    if step is not None and p[0] not in EXACT_PROJECTIONS:
        raise ValueError(f"for p = {p[0]} the ascent is by Frank-Wolfe, which has no step")
    s = torch.zeros_like(x)
    for k in range(steps):
        g = input_gradient(forward, params, x + s, y)
        balls = zip(p, eps, strict=True)
        s = choose([ascent_step(s, g, k, p=one, eps=size, steps=steps, step=step) for one, size in balls], s, g)
    return s


def steepest(candidates: Sequence[Tensor], s: Tensor, g: Tensor) -> Tensor:
    """Per sample, the candidate c (N, ...) of largest <g, c - s>, the first of equal ones."""
    return of_largest(candidates, [(g * (candidate - s)).flatten(1).sum(1) for candidate in candidates])


def ascent_step(
    s: Tensor,
    g: Tensor,
    k: int,
    *,
    p: float,
    eps: Strength,
    steps: int,
    step: float | None,
    direction: float | None = None,
) -> Tensor:
    """Where step k of ``ascend`` leads from s, with the gradient g at x + s."""
    if p not in EXACT_PROJECTIONS:
        return s + 2 / (k + 2) * (steepest_step(g, p, eps) - s)
    size = eps * ((2.5 / steps if steps > 1 else 1.0) if step is None else step)
    return project(s + steepest_step(g, p if direction is None else direction, size), p, eps)

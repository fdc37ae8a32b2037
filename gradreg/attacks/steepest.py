"""The family's attacks inside the p-norm ball and the box [0, 1]: one steepest step, many, and towards each class.

Inputs are (N, ...) in [0, 1] with labels (N,); perturbed inputs come back in the same shape, never further than eps
from the input in p-norm and never outside [0, 1]. A network is any callable from inputs to logits, in evaluation mode;
the ``grad`` of its parameters stays as it is.
"""

import math

import torch
from torch import Tensor

from gradreg.attacks.gradients import Network, ascent_direction, without
from gradreg.norms import steepest_step_in_box


def box_step(x: Tensor, g: Tensor, p: float, eps: float) -> Tensor:
    """The steepest step of a bounded image, ``norms.steepest_step_in_box``; for 1 < p < inf in double precision."""
    if p in (1, math.inf):
        return steepest_step_in_box(g, x, p, eps)
    return steepest_step_in_box(g.double(), x.double(), p, eps).to(x.dtype)


def one_step(network: Network, x: Tensor, y: Tensor, p: float, eps: float) -> Tensor:
    """x plus the steepest step inside the box along ``ascent_direction``.

    For p = inf it is the fast gradient sign method, clipped to [0, 1], along that direction instead of the gradient of
    the loss, which depends on the scale of the logits.
    """
    return (x + box_step(x, ascent_direction(network, x, y), p, eps)).clamp(0, 1)


def multi_step(network: Network, x: Tensor, y: Tensor, p: float, eps: float, steps: int) -> Tensor:
    """``frank_wolfe``; a sample that is misclassified, before or on the way, stays as it is then."""
    return frank_wolfe(network, x, y, p, eps, steps, stop=True)


def targeted(network: Network, x: Tensor, y: Tensor, p: float, eps: float, steps: int = 20, classes: int = 9) -> Tensor:
    """``frank_wolfe`` towards each of the ``classes`` likeliest wrong classes in turn, until one of them succeeds.

    The loss follows the wrong class of largest logit, which need not be the nearest one: for a linear network this
    attack is exact, and ``multi_step`` is for two classes only.
    """
    moved = x.clone()
    with torch.no_grad():
        logits = network(x)
        right = logits.argmax(1) == y
        rivals = without(logits, y).argsort(dim=1, descending=True, stable=True)
    for rank in range(min(classes, logits.shape[1] - 1)):
        rest = right.nonzero().squeeze(1)
        if len(rest) == 0:
            break
        moved[rest] = frank_wolfe(network, x[rest], y[rest], p, eps, steps, True, rivals[rest, rank])
        with torch.no_grad():
            right[rest] = network(moved[rest]).argmax(1) == y[rest]
    return moved


def frank_wolfe(
    network: Network, x: Tensor, y: Tensor, p: float, eps: float, steps: int, stop: bool, target: Tensor | None = None
) -> Tensor:
    """Frank-Wolfe ascent from x inside ball and box, along ``ascent_direction``: to the first error, or to the end.

    s <- s + 2 / (k + 2) * (box_step - s) for k = 0, 1, ... (Jaggi 2013): the first step is ``one_step``, and as
    mixtures of points of the ball and the box the iterates need no projection, whatever p. No random start: the
    same input always gives the same output. Raises ValueError unless 1 <= p <= inf.
    """
    s = torch.zeros_like(x)
    with torch.no_grad():
        right = (network(x).argmax(1) == y) | (not stop)
    for k in range(steps):
        rest = right.nonzero().squeeze(1)
        if len(rest) == 0:
            break
        at, current = x[rest], s[rest]
        goal = None if target is None else target[rest]
        corner = box_step(at, ascent_direction(network, at + current, y[rest], goal), p, eps)
        s[rest] = current = current + 2 / (k + 2) * (corner - current)
        if not stop:
            continue
        with torch.no_grad():
            right[rest] = network((at + current).clamp(0, 1)).argmax(1) == y[rest]
    return (x + s).clamp(0, 1)

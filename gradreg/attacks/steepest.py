"""The family's attacks inside the p-norm ball and the box [0, 1]: one steepest step, many, and towards each class.

Inputs are (N, ...) in [0, 1] with labels (N,); perturbed inputs come back in the same shape, never further than eps
from the input in p-norm and never outside [0, 1]. A network is any callable from inputs to logits, in evaluation mode;
the ``grad`` of its parameters stays as it is.
"""

import math

import torch
from torch import Tensor

from gradreg.attacks.gradients import Network, ascent_direction, without
from gradreg.norms import dual_exponent


def box_step(x: Tensor, g: Tensor, p: float, eps: float) -> Tensor:
    """The s that maximises <g, s> over ||s||_p <= eps and 0 <= x + s <= 1: the steepest step of a bounded image.

    For p = inf it is the clipped sign step. For p = 1 coordinates are filled up to the box in the order of |g|
    until their sum is eps (a fractional knapsack). Between, the maximiser is
    s_i = sign(g_i) min(lambda |g_i|^(q-1), room_i), from the conditions of Karush, Kuhn and Tucker, with
    lambda such that ||s||_p = eps. Where filling the box along g stays in the ball, s fills it. A zero gradient
    gives a zero step. Raises ValueError unless 1 <= p <= inf.
    """
    q = dual_exponent(p)
    flat, start = g.flatten(1), x.flatten(1)
    room = torch.where(flat > 0, 1 - start, start) * (flat != 0)
    if math.isinf(p):
        size = room.clamp(max=eps)
    elif p == 1:
        order = flat.abs().argsort(dim=1, descending=True, stable=True)
        sorted_room = room.gather(1, order)
        before = sorted_room.cumsum(1) - sorted_room
        filled = torch.minimum(sorted_room, (eps - before).clamp(min=0))
        size = torch.zeros_like(room).scatter(1, order, filled)
    else:
        scale = flat.abs().amax(1, keepdim=True)
        ratio = flat.abs() / torch.where(scale > 0, scale, 1)
        size = _fill((q - 1) * ratio.double().log(), room.double(), p, eps).to(x.dtype)
    return (flat.sign() * size).view_as(x)


def _fill(log_direction: Tensor, room: Tensor, p: float, eps: float) -> Tensor:
    """min(lambda * direction, room) with p-norm eps, or room where that is shorter. All (N, D), p finite.

    With the full coordinates known, lambda^p = (eps^p - sum of their room^p) / (sum of the others' direction^p).
    Starting from none, those that lambda fills are added until none is left to add; lambda only grows, so none
    leaves again. In logarithms and double precision: for p near 1 the entries of the direction span thousands of
    decades.
    """
    free = (room > 0) & (log_direction > -math.inf)
    log_room = room.log()
    rooms = torch.where(free, p * (log_room - math.log(eps)), -math.inf)  # p-th powers, in units of eps^p
    directions = torch.where(free, p * log_direction, -math.inf)
    full = torch.zeros_like(free)
    while True:
        left = torch.log1p(-rooms.where(full, -math.inf).logsumexp(1).exp().clamp(max=1))
        rest = directions.masked_fill(full, -math.inf).logsumexp(1)
        log_lambda = math.log(eps) + torch.where(rest > -math.inf, (left - rest) / p, math.inf).unsqueeze(1)
        filled = free & (full | (log_lambda + log_direction > log_room))
        if torch.equal(filled, full):
            break
        full = filled
    return torch.where(full, room, torch.where(free, (log_lambda + log_direction).exp(), 0))


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

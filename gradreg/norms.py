"""Norms, dual exponents, steepest steps and projections for p in [1, inf].

Every function acts per sample: the first dimension of a tensor counts samples, and all others together form the vector
of one sample. All functions are differentiable tensor algebra without data-dependent control flow, so that
``torch.func.grad``, ``vmap`` and ``torch.compile`` apply.

Source: Lyu, Huang and Liang, "A unified gradient regularization family for adversarial examples", ICDM 2015
(arXiv 1511.06385), section 2: the maximiser of <g, s> over ||s||_p <= eps.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def dual_exponent(p: float) -> float:
    """The q with 1/p + 1/q = 1 (Hoelder): 1 for p = inf, inf for p = 1.

    Raises ValueError unless 1 <= p <= inf.
    """
    if not p >= 1:  # also true for nan
        raise ValueError(f"p must be in [1, inf], got {p}")
    if p == 1:
        return math.inf
    return 1.0 if math.isinf(p) else p / (p - 1)


def norm(x: Tensor, p: float) -> Tensor:
    """p-norm of each sample.

    x: (N, ...). Returns (N,), finite if x is finite and its norm is a finite float: entries are first divided by their
    largest magnitude, so that denormal or huge entries do not under- or overflow, and formats of 16 bits are summed in
    float32. A sample with a NaN has the norm NaN, else one with an infinity the norm inf. Raises ValueError unless
    1 <= p <= inf.
    """
    dual_exponent(p)  # raises for an invalid p
    magnitude = x.flatten(1).abs()
    if math.isinf(p):
        return magnitude.amax(1)
    if x.dtype.itemsize < 4:
        return norm(x.float(), p).to(x.dtype)
    # The scale cancels, so that it may be constant in derivatives.
    scale = magnitude.detach().amax(1)
    scalable = (scale > 0) & scale.isfinite()
    ratio = magnitude / torch.where(scalable, scale, 1).unsqueeze(1)
    if p == 1:
        return torch.where(scalable, scale, 1) * ratio.sum(1)
    # A zero sample would give 0 ** (1/p - 1) = inf in the derivative.
    total = torch.where(scalable, ratio.pow(p).sum(1), 1)
    return torch.where(scalable, scale * total.pow(1 / p), scale)


def steepest_step(g: Tensor, p: float, eps: float | Tensor) -> Tensor:
    """The step s of p-norm eps that increases a loss with gradient g most, to first order.

    s = eps * sign(g) * (|g| / ||g||_q)^(q-1) with 1/p + 1/q = 1 maximises <g, s> over ||s||_p <= eps, with value
    eps * ||g||_q. p = inf gives the sign step (fast gradient sign method), p = 2 the normalised gradient. p = 1 is the
    limit p -> 1: the coordinates of largest |g| share eps equally.

    g: (N, ...); eps: in the units of the input, a number or a tensor that broadcasts to (N, 1). Returns the shape of
    g; a zero gradient gives a zero step. Entries too small against the largest one for the format count as zero.
    Differentiable in g. The derivative is 0 where the step jumps or its slope is infinite: everywhere for p = 1 and
    inf, at zero entries for p > 2. Raises ValueError unless 1 <= p <= inf.
    """
    q = dual_exponent(p)
    flat = g.flatten(1)
    if math.isinf(p):
        return (eps * flat.sign()).view_as(g)
    if g.dtype.itemsize < 4:
        return steepest_step(g.float(), p, eps).to(g.dtype)
    magnitude = flat.abs()
    scale = magnitude.detach().amax(1, keepdim=True)
    positive = scale > 0
    if p == 1:
        shape = flat.sign() * ((magnitude == scale) & positive)
        length = torch.where(positive, shape.abs().sum(1, keepdim=True), 1)
    else:
        ratio = magnitude / torch.where(positive, scale, 1)
        if p == 2:
            shape = flat / torch.where(positive, scale, 1)
        else:
            # Zeros become 1, to be multiplied by a sign of 0: the derivative of 0 ** (q - 1) may be infinite.
            shape = flat.sign() * (ratio > 0) * ratio.masked_fill(ratio == 0, 1).pow(q - 1)
        # = ||shape||_p, as (q-1) p = q
        length = torch.where(positive, ratio.pow(q).sum(1, keepdim=True), 1).pow(1 / p)
    return (eps * shape / length).view_as(g)


def steepest_step_in_union(g: Tensor, p: Sequence[float], eps: Sequence[float | Tensor] | Tensor) -> Tensor:
    """The step s in the union of balls ||s||_{p_k} <= eps_k that increases a loss with gradient g most, to first order.

    Per sample, it is the steepest step in the ball of largest eps_k * ||g||_{q_k}, with 1/p_k + 1/q_k = 1, the first of
    equal ones; <g, s> is that maximum. p, eps: one ball or more, of as many numbers each; the rest as in
    ``steepest_step``.
    """
    balls = list(zip(p, eps, strict=True))
    steps = [steepest_step(g, exponent, length) for exponent, length in balls]
    return of_largest(steps, [_rise(g, exponent, length) for exponent, length in balls])


def _rise(g: Tensor, p: float, eps: float | Tensor) -> Tensor:
    """eps * ||g||_q, by which a step of p-norm eps raises the loss, to first order, (N,)."""
    return (eps * norm(g, dual_exponent(p)).unsqueeze(1)).squeeze(1)


def steepest_step_in_box(g: Tensor, x: Tensor, p: float, eps: float | Tensor) -> Tensor:
    """The step s that increases a loss with gradient g most, to first order, with ||s||_p <= eps and 0 <= x + s <= 1.

    With room_i from x_i to the wall that s_i moves towards: for p = inf the sign step, cut at the walls. For p = 1
    coordinates are moved to their wall in the order of |g| until the sum is eps (a fractional knapsack). Between, from
    the conditions of Karush, Kuhn and Tucker, s_i = sign(g_i) min(l |g_i|^(q-1), room_i) with l such that ||s||_p =
    eps, or room_i where that is shorter. l^p is the maximum over k of (eps^p - sum of room_i^p) / (sum of |g_j|^q), i
    among the k coordinates that meet their walls first, j among the others: ||s||_p^p is concave and piecewise linear
    in l^p, and these are the zeros of its pieces.

    g, x: (N, ...), x in [0, 1]; eps: a number or a tensor (N, 1). Returns the shape of g; a zero gradient gives a zero
    step. Not to be differentiated. Raises ValueError unless 1 <= p <= inf.
    """
    q = dual_exponent(p)
    flat, start = g.detach().flatten(1), x.detach().flatten(1)
    magnitude = flat.abs()
    room = torch.where(flat > 0, 1 - start, start) * (magnitude > 0)
    if math.isinf(p):
        size = room.clamp(max=eps)
    elif p == 1:
        order = magnitude.argsort(dim=1, descending=True, stable=True)
        in_order = room.gather(1, order)
        left = (eps - (in_order.cumsum(1) - in_order)).clamp(min=0)
        size = torch.zeros_like(room).scatter(1, order, torch.minimum(in_order, left))
    else:
        share = torch.where(room > 0, room / eps, 0).clamp(max=1)  # eps may be 0
        size = eps * _filled(magnitude, share, p, q)
    return (flat.sign() * size).view_as(g)


def _filled(magnitude: Tensor, room: Tensor, p: float, q: float) -> Tensor:
    """min(l * magnitude^(q-1), room) with p-norm 1, or room where that is shorter; all (N, D), room at most 1.

    In logarithms: for p near 1 the powers span thousands of decades.
    """
    largest = magnitude.amax(1, keepdim=True)
    log_room = room.log()
    log_shape = (q - 1) * (magnitude / torch.where(largest > 0, largest, 1)).log()
    free = (log_room > -math.inf) & (log_shape > -math.inf)
    # Those that meet their walls first, first; those that cannot move, last, where they add nothing.
    order = torch.where(free, log_room - log_shape, math.inf).argsort(dim=1)
    rooms = torch.where(free, p * log_room, -math.inf).gather(1, order).exp()
    shapes = torch.where(free, p * log_shape, -math.inf).gather(1, order)
    left = 1 - (rooms.cumsum(1) - rooms)
    others = shapes.flip(1).logcumsumexp(1).flip(1)
    # Without others, all that are left out have met their walls.
    log_power = torch.where(others > -math.inf, left.clamp(min=0).log() - others, math.inf)
    log_power = torch.where(left > 0, log_power, -math.inf).amax(1, keepdim=True)
    return torch.where(free, torch.minimum(log_power / p + log_shape, log_room).exp(), 0)


def of_largest(candidates: Sequence[Tensor], values: Sequence[Tensor]) -> Tensor:
    """Per sample, the candidate (N, ...) of the largest value (N,), the first of equal ones."""
    best, largest = candidates[0], values[0]
    for candidate, value in zip(candidates[1:], values[1:], strict=True):
        best = torch.where((value > largest).view(-1, *[1] * (best.ndim - 1)), candidate, best)
        largest = torch.maximum(largest, value)
    return best


def project(s: Tensor, p: float, eps: float | Tensor) -> Tensor:
    """The exact L2 projection of s onto the p-norm ball of radius eps, for p in {1, 2, inf}.

    For p = 1 it is soft thresholding, sign(s) * max(|s| - t, 0). Inside the ball t is 0. Outside it, t is the maximum
    over k of (sum of the k largest |s_i| - eps) / k. This is figure 1 of Duchi et al., ICML 2008, in closed form.

    s: (N, ...); eps: a number or a tensor (N, 1). Returns the shape of s. Points inside the ball are unchanged. Raises
    ValueError for any other p, for which there is no closed form.
    """
    flat = s.flatten(1)
    if p == math.inf:
        return (flat.sign() * flat.abs().clamp(max=eps)).view_as(s)
    if s.dtype.itemsize < 4:
        return project(s.float(), p, eps).to(s.dtype)
    if p == 2:
        length = norm(flat, 2).unsqueeze(1)
        return (flat * torch.where(length > eps, eps / torch.where(length > 0, length, 1), 1)).view_as(s)
    if p == 1:
        total = flat.abs().sort(1, descending=True).values.cumsum(1)
        count = torch.arange(1, flat.shape[1] + 1, dtype=s.dtype, device=s.device)
        threshold = ((total - eps) / count).amax(1, keepdim=True).clamp(min=0)
        return (flat.sign() * (flat.abs() - threshold).clamp(min=0)).view_as(s)
    raise ValueError(f"no exact projection for p = {p}, only for 1, 2 and inf")

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
    return of_largest(steps, [length * norm(g, dual_exponent(exponent)) for exponent, length in balls])


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
    if p == 2:
        length = norm(flat, 2).unsqueeze(1)
        return (flat * torch.where(length > eps, eps / torch.where(length > 0, length, 1), 1)).view_as(s)
    if p == 1:
        total = flat.abs().sort(1, descending=True).values.cumsum(1)
        count = torch.arange(1, flat.shape[1] + 1, dtype=s.dtype, device=s.device)
        threshold = ((total - eps) / count).amax(1, keepdim=True).clamp(min=0)
        return (flat.sign() * (flat.abs() - threshold).clamp(min=0)).view_as(s)
    raise ValueError(f"no exact projection for p = {p}, only for 1, 2 and inf")

"""Norms, dual exponents and steepest steps for any p in [1, inf].

Every function acts per sample: the first dimension of a tensor counts samples, all further dimensions
together form one sample's vector. Everything is differentiable tensor algebra without data-dependent
control flow, so ``torch.func.grad``, ``vmap`` and ``torch.compile`` apply.

Source: Lyu, Huang and Liang, "A unified gradient regularization family for adversarial examples",
ICDM 2015 (arXiv 1511.06385), section 2: the maximiser of <g, s> over ||s||_p <= eps.
"""

import math

import torch
from torch import Tensor


def dual_exponent(p: float) -> float:
    """The q with 1/p + 1/q = 1 (Hoelder): 1 for p = inf, inf for p = 1.

    Raises ValueError unless 1 <= p <= inf.
    """
    if not p >= 1:  # also refuses nan
        raise ValueError(f"p must be in [1, inf], got {p}")
    if p == 1:
        return math.inf
    return 1.0 if math.isinf(p) else p / (p - 1)


def norm(x: Tensor, p: float) -> Tensor:
    """p-norm of each sample.

    x: (N, ...). Returns (N,), finite for every finite x whose norm is a finite float: entries are
    scaled by their largest magnitude first, so that neither denormal nor huge entries under- or overflow.
    Raises ValueError unless 1 <= p <= inf.
    """
    dual_exponent(p)  # the check of p
    magnitude = x.flatten(1).abs()
    if math.isinf(p):
        return magnitude.amax(1)
    # The scale cancels, so it may be held constant under differentiation.
    scale = magnitude.detach().amax(1)
    positive = scale > 0
    ratio = magnitude / torch.where(positive, scale, 1).unsqueeze(1)
    if p == 1:
        return scale * ratio.sum(1)
    # A zero sample would give 0 ** (1/p - 1) = inf in the derivative.
    total = torch.where(positive, ratio.pow(p).sum(1), 1)
    return torch.where(positive, scale * total.pow(1 / p), 0)


def steepest_step(g: Tensor, p: float, eps: float | Tensor) -> Tensor:
    """The step s of p-norm eps along which a loss with gradient g grows most, to first order.

    s = eps * sign(g) * (|g| / ||g||_q)^(q-1) with 1/p + 1/q = 1 maximises <g, s> over ||s||_p <= eps,
    with value eps * ||g||_q. p = inf is the sign step (fast gradient sign method), p = 2 the normalised
    gradient; at p = 1 the coordinates of largest |g| share the budget equally, the limit p -> 1.

    g: (N, ...); eps in the units of the input, a number or a tensor that broadcasts over samples' vectors,
    (N, 1). Returns the shape of g. A zero gradient gives a zero step.
    Raises ValueError unless 1 <= p <= inf.
    """
    q = dual_exponent(p)
    flat = g.flatten(1)
    if math.isinf(p):
        return (eps * flat.sign()).view_as(g)
    magnitude = flat.abs()
    scale = magnitude.amax(1, keepdim=True)
    positive = scale > 0
    if p == 1:
        shape = ((magnitude == scale) & positive).to(g.dtype)
        length = shape.sum(1, keepdim=True)
    else:
        ratio = magnitude / torch.where(positive, scale, 1)
        shape = ratio.pow(q - 1)
        length = ratio.pow(q).sum(1, keepdim=True).pow(1 / p)  # = ||shape||_p, as (q-1) p = q
    return (eps * flat.sign() * shape / torch.where(positive, length, 1)).view_as(g)

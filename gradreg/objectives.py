"""Training objectives: pure functions of parameters, a batch and numbers.

Each takes ``forward(params, x) -> logits``, the parameters, a batch ``x`` (N, ...) in [0, 1] with labels
``y`` (N,), and returns ``(loss, logits)``: the mean loss to minimise, a scalar, and the logits (N, classes)
of the inputs it was taken at. They hold no state and draw no random numbers, so ``torch.func.grad``,
``vmap`` and ``torch.compile`` apply.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from gradreg.norms import steepest_step

Params = Mapping[str, Tensor]
Forward = Callable[[Params, Tensor], Tensor]
Objective = Callable[[Params, Tensor, Tensor, float], tuple[Tensor, Tensor]]


def input_gradient(forward: Forward, params: Params, x: Tensor, y: Tensor) -> Tensor:
    """Gradient of each sample's cross-entropy with respect to that sample, the shape of x.

    The parameters are held constant: nothing of this pass is recorded for their gradients.
    """
    frozen = {name: value.detach() for name, value in params.items()}

    def total_loss(inputs: Tensor) -> Tensor:
        return F.cross_entropy(forward(frozen, inputs), y, reduction="sum")

    gradient: Tensor = torch.func.grad(total_loss)(x)
    return gradient.detach()


def plain(forward: Forward, params: Params, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy L(x)."""
    logits = forward(params, x)
    return F.cross_entropy(logits, y), logits


def perturb(
    forward: Forward, params: Params, x: Tensor, y: Tensor, *, p: float, eps: float, alpha: float = 0.0
) -> tuple[Tensor, Tensor]:
    """alpha * L(x) + (1 - alpha) * L(x + s), with s the steepest step of p-norm eps, held constant.

    To first order L(x + s) = L(x) + eps * ||dL/dx||_q, 1/p + 1/q = 1 (Lyu et al. 2015; alpha = 0.5 and
    p = inf: Goodfellow et al. 2015, equation 4.1). x + s is not clipped to [0, 1]: the formula holds exactly.
    The logits returned are those at x + s. Raises ValueError unless 1 <= p <= inf.
    """
    step = steepest_step(input_gradient(forward, params, x, y), p, eps)
    loss, logits = plain(forward, params, x + step, y)
    if alpha:
        loss = alpha * plain(forward, params, x, y)[0] + (1 - alpha) * loss
    return loss, logits


def bind(forward: Forward, *, kind: str, p: float | None = None, alpha: float = 0.0) -> Objective:
    """The objective named ``kind`` as a function of (params, x, y, eps), with its other settings fixed.

    Raises ValueError for an unknown kind.
    """
    if kind == "plain":
        return lambda params, x, y, eps: plain(forward, params, x, y)
    if kind == "perturb" and p is not None:
        exponent = p
        return lambda params, x, y, eps: perturb(forward, params, x, y, p=exponent, eps=eps, alpha=alpha)
    raise ValueError(f"no objective {kind!r} with p = {p}")

"""Gradients that attacks follow, per sample; a network is any callable from images to logits, in evaluation mode."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Network = Callable[[Tensor], Tensor]
SHARPNESS = 4.0  # of the weights of rivals, per mean absolute deviation of an image's logits


def loss_gradient(network: Network, x: Tensor, y: Tensor) -> Tensor:
    """Gradient of each sample's cross-entropy with respect to that sample, the shape of x."""
    inputs = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        loss = F.cross_entropy(network(inputs), y, reduction="sum")
        return torch.autograd.grad(loss, inputs)[0]


def ascent_direction(network: Network, x: Tensor, y: Tensor, target: Tensor | None = None) -> Tensor:
    """The direction in which rivals of the label rise most, for each sample, the shape of x.

    The gradient of (sum over k != y of w_k z_k) - z_y. The weights w are constants, the softmax over the rivals of the
    logits in units of their mean absolute deviation: multiplying the logits by a number does not change them. The
    gradient of the loss has the softmax of the logits themselves: for small logits it averages all rivals, and in
    single precision it loses the label's logit once its probability rounds to 1. Either makes networks look robust.
    With a target (N,), the gradient of z_target - z_y.
    """
    inputs = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        logits = network(inputs)
        rivals = (_weights(logits.detach(), y) * logits).sum(1) if target is None else of_class(logits, target)
        return torch.autograd.grad((rivals - of_class(logits, y)).sum(), inputs)[0]


def gap(logits: Tensor, y: Tensor) -> Tensor:
    """z_y - max over k != y of z_k, (N,): positive where the answer is right, and the less, the nearer an error is."""
    return of_class(logits, y) - without(logits, y).amax(1)


def _weights(logits: Tensor, y: Tensor) -> Tensor:
    centred = logits - logits.mean(1, keepdim=True)  # equal logits are zero then, and have equal weights
    deviation = centred.abs().mean(1, keepdim=True)
    scaled = centred / deviation.clamp(min=torch.finfo(logits.dtype).tiny)
    return without(SHARPNESS * scaled, y).softmax(1)


def without(logits: Tensor, y: Tensor) -> Tensor:
    """Logits (N, classes), those of the labels set to -inf."""
    return logits.scatter(1, y.unsqueeze(1), -math.inf)


def of_class(logits: Tensor, y: Tensor) -> Tensor:
    """The logits of classes y, (N,)."""
    return logits.gather(1, y.unsqueeze(1)).squeeze(1)

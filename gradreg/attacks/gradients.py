"""Gradients that attacks follow, per sample; a network is any callable from images to logits, in evaluation mode."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Network = Callable[[Tensor], Tensor]


def loss_gradient(network: Network, x: Tensor, y: Tensor) -> Tensor:
    """Gradient of each sample's cross-entropy with respect to that sample, the shape of x."""
    inputs = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        loss = F.cross_entropy(network(inputs), y, reduction="sum")
        return torch.autograd.grad(loss, inputs)[0]


def ascent_direction(network: Network, x: Tensor, y: Tensor, target: Tensor | None = None) -> Tensor:
    """A positive multiple of each sample's ``loss_gradient`` that does not vanish, the shape of x.

    The gradient of log(sum over k != y of exp z_k) - z_y is dL/dx / (1 - pi_y), with pi_y the probability of the
    label. In single precision dL/dx itself loses the label's own logit once pi_y rounds to 1, and with it its
    direction, which would make confident networks look robust. With a target (N,), the gradient of z_target - z_y.
    """
    inputs = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        logits = network(inputs)
        climbed = height(logits, y) if target is None else of_class(logits, target) - of_class(logits, y)
        return torch.autograd.grad(climbed.sum(), inputs)[0]


def height(logits: Tensor, y: Tensor) -> Tensor:
    """log(sum over k != y of exp z_k) - z_y, (N,): the higher, the nearer to an error or the further beyond it."""
    return without(logits, y).logsumexp(1) - of_class(logits, y)


def without(logits: Tensor, y: Tensor) -> Tensor:
    """Logits (N, classes), those of the labels set to -inf."""
    return logits.scatter(1, y.unsqueeze(1), -math.inf)


def of_class(logits: Tensor, y: Tensor) -> Tensor:
    """The logits of classes y, (N,)."""
    return logits.gather(1, y.unsqueeze(1)).squeeze(1)

"""Calls of attacks: in batches, by the settings of a config."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from gradreg import registry
from gradreg.attacks.checks import check_perturbed
from gradreg.attacks.gradients import Network


def batched(function: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, size: int) -> Tensor:
    """``function(inputs, labels)``, called on batches of ``size``."""
    return torch.cat([function(a, b) for a, b in zip(x.split(size), y.split(size), strict=True)])


def perturbed(
    attack: Mapping[str, Any], network: Network, x: Tensor, y: Tensor, p: float, eps: float, batch_size: int
) -> Tensor:
    """Inputs x (N, ...) with labels y (N,) as a registered attack of p-norm eps moves them; its answer is checked.

    attack: its kind, and its settings beside it.
    """
    function = functools.partial(registry.bound("attacks", attack), network, p=p, eps=eps)
    return check_perturbed(attack["kind"], x, batched(function, x, y, batch_size), p, eps)

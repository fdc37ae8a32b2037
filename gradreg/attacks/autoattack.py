"""The attacks of AutoAttack (Croce and Hein 2020, 2021) through the library pyautoattack, as it sets them up.

Inputs, labels, networks and results are as in ``gradreg.attacks.steepest``; p is 1, 2 or inf. Each attack gets the
images of one call as one batch, since the batch changes what it answers, and one seed: the same input always gives the
same output, and the caller's random state stays as it was. All raise ValueError for another p, for inputs outside
[0, 1], for a network in training mode, where a loss needs more classes than there are, and for images in which the
tiles of ``square`` do not fit (``tiles``).
"""

import copy
import math

import torch
from torch import Tensor, nn

from gradreg.attacks.checks import check_attackable, inside
from gradreg.attacks.gradients import Network
from gradreg.registry import tiles

NORMS = {1.0: "L1", 2.0: "L2", math.inf: "Linf"}
SEED = 0
LEAST_CLASSES = 4  # of the loss of the targeted attack, a difference of logits over another


def apgd_ce(network: Network, x: Tensor, y: Tensor, p: float, eps: float) -> Tensor:
    """Projected gradient descent with an adaptive step, on the cross-entropy: 100 steps."""
    return _run("apgd-ce", network, x, y, p, eps)


def apgd_t(network: Network, x: Tensor, y: Tensor, p: float, eps: float) -> Tensor:
    """The same towards each of the 9 most likely wrong classes (5 for p = 1), on a ratio of logits: 100 steps each."""
    return _run("apgd-t", network, x, y, p, eps)


def fab_t(network: Network, x: Tensor, y: Tensor, p: float, eps: float) -> Tensor:
    """The fast adaptive boundary attack towards each of the 9 most likely wrong classes: 100 steps each."""
    return _run("fab-t", network, x, y, p, eps)


def square(network: Network, x: Tensor, y: Tensor, p: float, eps: float) -> Tensor:
    """Random search by squares, which asks for logits only: 5000 queries."""
    return _run("square", network, x, y, p, eps)


def _run(name: str, network: Network, x: Tensor, y: Tensor, p: float, eps: float) -> Tensor:
    from pyautoattack import AutoAttack  # seconds to import

    if p not in NORMS:
        raise ValueError(f"{name} knows p = 1, 2 and inf, not {p:g}")
    check_attackable(network, x)
    if isinstance(network, nn.Module):  # the library fills param.grad
        network = copy.deepcopy(network).requires_grad_(False)
    with torch.no_grad():
        classes = network(x[:1]).shape[1]
    if name == "apgd-t" and classes < LEAST_CLASSES:
        raise ValueError(f"{name} needs {LEAST_CLASSES} classes or more, there are {classes}")
    if name == "square" and p in (1, 2) and not tiles.fit(*x.shape[2:]):
        size = " x ".join(map(str, x.shape[2:]))
        raise ValueError(f"{name} at p = {p:g} cannot lay its first tiles in images of {size} pixels")
    with torch.random.fork_rng(devices=[x.device] if x.device.type == "cuda" else []):
        attack = AutoAttack(network, norm=NORMS[p], eps=eps, seed=SEED, device=x.device, version="standard")
        attack.attacks_to_run = [name]
        for targeted in (attack.apgd_targeted, attack.fab):
            targeted.n_target_classes = min(targeted.n_target_classes, classes - 1)
        moved, _ = attack.run_standard_evaluation(x, y, batch_size=len(x))
    return inside(x, moved, p, eps)

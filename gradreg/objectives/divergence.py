"""The Kullback-Leibler divergence from the answers on an image to those on a perturbed one."""

import torch
from torch import Tensor

from gradreg.objectives.differentiation import Forward, Params


def answers(forward: Forward, params: Params, x: Tensor) -> Tensor:
    """The probabilities (N, classes) of a network's answers, held constant: labels of its own for the images."""
    frozen = {name: value.detach() for name, value in params.items()}
    return forward(frozen, x.detach()).softmax(1).detach()


def divergence(probabilities: Tensor, logits: Tensor) -> Tensor:
    """KL(p || softmax(logits)) of each sample, (N,), for probabilities p (N, classes)."""
    log = torch.where(probabilities > 0, probabilities, 1).log()
    return (probabilities * (log - logits.log_softmax(1))).sum(1)

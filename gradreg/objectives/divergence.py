"""The Kullback-Leibler divergence from the answers on an image to those on a perturbed one."""

import torch.nn.functional as F
from torch import Tensor


def answers(logits: Tensor) -> Tensor:
    """The probabilities (N, classes) of a network's answers, held constant: labels of its own for the images."""
    return logits.detach().softmax(1)


def divergence(probabilities: Tensor, logits: Tensor) -> Tensor:
    """KL(p || softmax(logits)) of each sample, (N,), for probabilities p (N, classes)."""
    return F.kl_div(logits.log_softmax(1), probabilities, reduction="none").sum(1)

"""The Kullback-Leibler divergence from the answers on an image to those on a perturbed one.

By logarithms of probabilities: where one is too small for the format, its own logarithm has no derivative.
"""

import torch.nn.functional as F
from torch import Tensor


def answers(logits: Tensor) -> Tensor:
    """The logarithms of the probabilities (N, classes) of a network's answers, held constant."""
    return logits.detach().log_softmax(1)


def divergence(log_probabilities: Tensor, logits: Tensor) -> Tensor:
    """KL(p || softmax(logits)) of each sample, (N,), for log p (N, classes)."""
    return F.kl_div(logits.log_softmax(1), log_probabilities, reduction="none", log_target=True).sum(1)

"""The loss on the images as they are."""

import torch.nn.functional as F
from torch import Tensor

from gradreg.objectives.differentiation import Forward, Params, Result


def plain(forward: Forward, params: Params, x: Tensor, y: Tensor) -> Result:
    """L(x)."""
    logits = forward(params, x)
    return F.cross_entropy(logits, y), logits

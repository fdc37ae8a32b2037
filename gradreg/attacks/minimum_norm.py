"""Minimum-norm attacks through the library secml-torch (the extra ``minimum-norm``): one run, and the whole curve.

As in ``gradreg.attacks.steepest``, but without an eps: the result is the nearest error, or the image itself where the
search saw none.
"""

import copy
import math

import torch
from torch import Tensor, nn

from gradreg.attacks.checks import check_attackable
from gradreg.attacks.gradients import Network

NORMS = {1.0: "l1", 2.0: "l2", math.inf: "linf"}


def fmn(network: Network, x: Tensor, y: Tensor, p: float, steps: int = 200, step: float = 1.0) -> Tensor:
    """The fast minimum-norm attack (Pintor et al. 2021): ``steps`` steps, the first of L2 length ``step``.

    On the CPU, wherever the network is: so the library works. Raises ValueError unless p is 1, 2 or inf, for inputs
    outside [0, 1] and for a network in training mode; ImportError without the library.
    """
    from secmlt.adv.evasion.fmn import FMN
    from secmlt.models.pytorch.base_pytorch_nn import BasePyTorchClassifier
    from torch.utils.data import DataLoader, TensorDataset

    if p not in NORMS:
        raise ValueError(f"fmn knows p = 1, 2 and inf, not {p:g}")
    check_attackable(network, x)
    if not isinstance(network, nn.Module):
        raise ValueError("the network must be a torch.nn.Module")
    model = BasePyTorchClassifier(copy.deepcopy(network).requires_grad_(False).cpu())
    attack = FMN(perturbation_model=NORMS[p], num_steps=steps, step_size=step)
    with torch.random.fork_rng(devices=[]):  # iterating over a DataLoader draws a number
        moved, _ = next(iter(attack(model, DataLoader(TensorDataset(x.cpu(), y.cpu()), batch_size=len(x)))))
    nearest: Tensor = moved.to(x).clamp(0, 1)
    return nearest

"""What attacks ask of a network and of images, and what holds for their results."""

import math

import torch
from torch import Tensor, nn

from gradreg.attacks.gradients import Network
from gradreg.norms import norm

ROUNDING = 1e-7  # of one pixel, in single precision


class AttackError(ValueError):
    """What an attack returned is not a perturbation within its bounds."""


def check_perturbed(name: str, x: Tensor, moved: Tensor, p: float, eps: float = math.inf) -> Tensor:
    """``moved`` (N, ...), if it is finite, inside [0, 1] and, but for rounding, within p-norm eps of x.

    N is at least 1. Raises AttackError with the ``name`` of the attack otherwise.
    """
    if not isinstance(moved, Tensor) or moved.shape != x.shape:
        shape = tuple(moved.shape) if isinstance(moved, Tensor) else type(moved).__name__
        raise AttackError(f"attack {name} returned {shape} for images {tuple(x.shape)}")
    least, most = (value.item() for value in moved.aminmax())
    if not (math.isfinite(least) and math.isfinite(most)):
        raise AttackError(f"attack {name} returned values that are not finite")
    if least < 0 or most > 1:
        raise AttackError(f"attack {name} left [0, 1]: its images reach from {least:.6g} to {most:.6g}")
    farthest = torch.linalg.vector_norm((moved - x).flatten(1), p, dim=1, dtype=torch.float64).max().item()
    if farthest > eps + 1e-5 * eps + ROUNDING * x[:1].numel() ** (1 / p):
        raise AttackError(
            f"attack {name} left its ball: {farthest:.6g} from the image in the {p:g}-norm, eps is {eps:g}"
        )
    return moved


def check_attackable(network: Network, x: Tensor) -> None:
    """Raise ValueError when inputs lie outside [0, 1] or the network is in training mode."""
    if not bool(((x >= 0) & (x <= 1)).all()):
        raise ValueError("inputs must lie in [0, 1]; scaling belongs inside the network")
    if isinstance(network, nn.Module) and network.training:
        raise ValueError("the network is in training mode; call .eval() first")


def inside(x: Tensor, moved: Tensor, p: float, eps: float) -> Tensor:
    """``moved``, clipped to [0, 1] and drawn towards x where its p-norm distance is more than eps by rounding."""
    s = moved.clamp(0, 1).double() - x.double()
    length = norm(s, p).view(-1, *[1] * (x.ndim - 1))
    return (x.double() + s * torch.where(length > eps, eps / length, 1)).to(x.dtype)

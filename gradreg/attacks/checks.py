"""What attacks ask of a network and of images, and what holds for their results."""

from torch import Tensor, nn

from gradreg.attacks.gradients import Network
from gradreg.norms import norm


def check_attackable(network: Network, x: Tensor) -> None:
    """Raise ValueError when inputs lie outside [0, 1] or the network is in training mode."""
    if not bool(((x >= 0) & (x <= 1)).all()):
        raise ValueError("inputs must lie in [0, 1]; scaling belongs inside the network")
    if isinstance(network, nn.Module) and network.training:
        raise ValueError("the network is in training mode; call .eval() first")


def inside(x: Tensor, moved: Tensor, p: float, eps: float) -> Tensor:
    """``moved``, clipped to [0, 1] and drawn towards x where its p-norm distance is more than eps by rounding."""
    s = moved.clamp(0, 1).double() - x.double()
    length = norm(s, p).clamp(min=eps).view(-1, *[1] * (x.ndim - 1))
    return (x.double() + s * (eps / length)).to(x.dtype)

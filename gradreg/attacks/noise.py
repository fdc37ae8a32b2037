"""Random perturbations: noise of a size, and an attack that needs no gradient."""

import torch
from torch import Tensor

from gradreg.attacks.gradients import Network, height
from gradreg.sampling import draw


@torch.no_grad()
def random(network: Network, x: Tensor, y: Tensor, p: float, eps: float, draws: int = 10) -> Tensor:
    """x plus the worst of ``draws`` perturbations, uniform in the ball and clipped to [0, 1]: no gradient is needed.

    Worst is the largest of log(sum over k != y of exp z_k) - z_y. The draws come from one seed: the same input always
    gives the same output.
    """
    generator = torch.Generator(x.device).manual_seed(0)
    worst, highest = x, height(network(x), y)
    for _ in range(draws):
        moved = (x + eps * draw("ball", x.shape, generator, p)).clamp(0, 1)
        there = height(network(moved), y)
        higher = there > highest
        worst = torch.where(higher.view(-1, *[1] * (x.ndim - 1)), moved, worst)
        highest = torch.where(higher, there, highest)
    return worst


def noisy(x: Tensor, distribution: str, level: float, generator: torch.Generator) -> Tensor:
    """x plus noise, clipped to [0, 1]: ``level`` times a draw of ``sampling.draw``, which raises as it says.

    For ``gaussian`` the level is the standard deviation, for ``uniform`` the largest change.
    """
    return (x + level * draw(distribution, x.shape, generator)).clamp(0, 1)

"""Random perturbations: noise of a size, and an attack that needs no gradient."""

import torch
from torch import Tensor

from gradreg.attacks.gradients import Network, gap
from gradreg.sampling import draw

# Of noise: its distribution, and whether the noisy image is clipped to [0, 1].
KINDS = {"gaussian": ("gaussian", True), "gaussian_unclipped": ("gaussian", False), "uniform": ("uniform", True)}


@torch.no_grad()
def random(network: Network, x: Tensor, y: Tensor, p: float, eps: float, draws: int = 10) -> Tensor:
    """x plus the worst of ``draws`` perturbations, uniform in the ball and clipped to [0, 1]: no gradient is needed.

    Worst has the least ``gap``. The draws come from one seed: the same input always gives the same output.
    """
    generator = torch.Generator(x.device).manual_seed(0)
    worst, least = x, gap(network(x), y)
    for _ in range(draws):
        moved = (x + eps * draw("ball", x.shape, generator, p)).clamp(0, 1)
        there = gap(network(moved), y)
        worst = torch.where((there < least).view(-1, *[1] * (x.ndim - 1)), moved, worst)
        least = torch.minimum(there, least)
    return worst


def noisy(x: Tensor, kind: str, level: float, generator: torch.Generator) -> Tensor:
    """x plus noise of a kind of ``KINDS``: ``level`` times a draw of ``sampling.draw``.

    For Gaussian noise the level is the standard deviation, for ``uniform`` the largest change. Raises KeyError for
    another kind.
    """
    distribution, clipped = KINDS[kind]
    moved = x + level * draw(distribution, x.shape, generator)
    return moved.clamp(0, 1) if clipped else moved

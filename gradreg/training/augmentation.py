"""Random shifts and flips of training images."""

import torch
import torch.nn.functional as F
from torch import Tensor


def augmented(x: Tensor, pad: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Images (N, C, H, W), each mirrored or not, and cut at random out of itself with ``pad`` zeros around.

    Drawn from ``generator``, which lives on the device of x.
    """
    n, _, height, width = x.shape
    if flip:
        mirrored = torch.rand(n, 1, 1, 1, generator=generator, device=x.device) < 0.5
        x = torch.where(mirrored, x.flip(-1), x)
    if pad:
        corner = torch.randint(0, 2 * pad + 1, (2, n, 1), generator=generator, device=x.device)
        rows = corner[0] + torch.arange(height, device=x.device)
        columns = corner[1] + torch.arange(width, device=x.device)
        image = torch.arange(n, device=x.device).view(n, 1, 1)
        x = F.pad(x, (pad, pad, pad, pad))[image, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)
    return x

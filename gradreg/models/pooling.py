"""Max-pooling, by PyTorch's own kernel where a network is compiled for a CPU."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaxPool(nn.Module):
    """The largest entry of each window: (N, C, H, W) -> (N, C, ceil((H - window) / stride) + 1, ...).

    Windows may extend beyond the map. The gradient goes to one entry of each window, as that of ``nn.MaxPool2d``.
    """

    def __init__(self, window: int, stride: int) -> None:
        super().__init__()
        self.window, self.stride = window, stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W')."""
        if x.device.type == "cpu" and torch.compiler.is_compiling():
            places = largest(x.detach(), self.window, self.stride)
            return x.flatten(2).gather(2, places.flatten(2)).view(places.shape)
        return F.max_pool2d(x, self.window, self.stride, ceil_mode=True)


@torch.library.custom_op("gradreg::largest", mutates_args=(), tags=(torch.Tag.flexible_layout,))
def largest(x: Tensor, window: int, stride: int) -> Tensor:
    """Where in its map the largest entry of each window lies, (N, C, H', W').

    An operator, since torch.compile makes something of PyTorch's own that takes ten times as long.
    """
    along_channels = x.contiguous(memory_format=torch.channels_last)
    return F.max_pool2d(along_channels, window, stride, ceil_mode=True, return_indices=True)[1]


@largest.register_fake
def _(x: Tensor, window: int, stride: int) -> Tensor:
    places = F.max_pool2d(x, window, stride, ceil_mode=True, return_indices=True)[1]
    return places.contiguous(memory_format=torch.channels_last)


@largest.register_vmap
def _(info: Any, in_dims: tuple[int | None, ...], x: Tensor, window: int, stride: int) -> tuple[Tensor, int]:
    maps = x.movedim(in_dims[0] or 0, 0)
    return largest(maps.flatten(0, 1), window, stride).unflatten(0, maps.shape[:2]), 0

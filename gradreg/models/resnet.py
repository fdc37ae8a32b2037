"""A modern reference: a pre-activation residual network with smooth activations."""

from collections.abc import Callable, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from gradreg.models.layers import Conv, Linear, glorot

ACTIVATIONS: dict[str, Callable[..., Any]] = {"silu": F.silu, "gelu": F.gelu, "softplus": F.softplus}


class Block(nn.Module):
    """x + conv(act(norm(conv(act(norm(x)))))), (N, inputs, H, W) -> (N, outputs, H / stride, W / stride).

    If the shapes differ, the shortcut is a 1 x 1 convolution of the first activation (He et al. 2016, figure 4e).
    """

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int, activation: str) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.norm1, self.norm2 = nn.GroupNorm(groups, inputs), nn.GroupNorm(groups, outputs)
        self.conv1 = _conv(inputs, outputs, 3, stride)
        self.conv2 = _conv(outputs, outputs, 3)
        self.shortcut = _conv(inputs, outputs, 1, stride) if stride != 1 or inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        h = self.activation(self.norm1(x))
        shortcut = x if self.shortcut is None else self.shortcut(h)
        result: Tensor = shortcut + self.conv2(self.activation(self.norm2(self.conv1(h))))
        return result


class Head(nn.Module):
    """The mean over locations of act(norm(x)), (N, channels, H, W) -> (N, channels)."""

    def __init__(self, channels: int, groups: int, activation: str) -> None:
        super().__init__()
        self.activation, self.norm = ACTIVATIONS[activation], nn.GroupNorm(groups, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, channels)."""
        mean: Tensor = self.activation(self.norm(x)).mean((-2, -1))
        return mean


def preact_resnet(
    image_shape: Sequence[int],
    classes: int,
    *,
    width: int = 32,
    blocks: Sequence[int] = (2, 2, 2),
    groups: int = 8,
    activation: str = "silu",
) -> nn.Module:
    """A 3 x 3 convolution, stages of pre-activation blocks, the mean over locations, a linear layer to the logits.

    He et al., "Identity mappings in deep residual networks", ECCV 2016, with two changes for gradient regularisation.
    Activations are smooth, so that penalties on the gradient are differentiable everywhere. Group normalisation (Wu and
    He 2018) replaces batch normalisation, by which an image's loss would depend on the other images of its batch. Every
    stage but the first halves the side and doubles the channels. Weights of convolutions ~ U(-b, b) with
    b = sqrt(6 / fan-in) (He et al. 2015). Raises ValueError if ``groups`` does not divide ``width``.
    """
    if width % groups:
        raise ValueError(f"groups: {groups} does not divide the width {width}")
    layers: list[nn.Module] = [_conv(image_shape[0], width, 3)]
    inputs = width
    for stage, count in enumerate(blocks):
        outputs = width * 2**stage
        for i in range(count):
            layers.append(Block(inputs, outputs, 2 if stage and i == 0 else 1, groups, activation))
            inputs = outputs
    return nn.Sequential(*layers, Head(inputs, groups, activation), Linear(inputs, classes, glorot(inputs, classes)))


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> Conv:
    bound = (6 / (inputs * kernel**2)) ** 0.5
    return Conv(inputs, outputs, kernel, bound, padding=kernel // 2, stride=stride)

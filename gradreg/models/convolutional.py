"""Convolutional maxout networks."""

import math
from collections.abc import Sequence

from torch import nn

from gradreg.models.dense import maxout_on
from gradreg.models.layers import Conv, Maxout, dropout
from gradreg.models.pooling import MaxPool


def conv_maxout(
    image_shape: Sequence[int],
    classes: int,
    *,
    channels: Sequence[int],
    pieces: Sequence[int],
    kernels: Sequence[int],
    padding: Sequence[int],
    pool: Sequence[int],
    stride: Sequence[int],
    tied_biases: bool = False,
    units: Sequence[int] = (),
    unit_pieces: int = 1,
    init: float = 0.005,
    keep_input: float = 1.0,
    keep_hidden: float = 1.0,
) -> nn.Module:
    """Convolutions with maxout over ``pieces`` filters and max-pooling, dense maxout layers, then a linear layer.

    Goodfellow et al., "Maxout networks", ICML 2013, as in its code. The maximum over pieces comes before that over the
    window. Pooling windows may extend beyond the map, whose side becomes ceil((side - pool) / stride) + 1. Each filter
    has one bias per location, or one in all with ``tied_biases``. W ~ U(-init, init), biases 0. Dropout masks single
    elements; kept inputs are not rescaled, kept hidden units are. Raises ValueError if a kernel or a window is larger
    than its input, or if the strides leave gaps (pool < stride).
    """
    if unit_pieces > 1 and not units:
        raise ValueError("unit_pieces: there are no dense units")
    layers: list[nn.Module] = []
    depth, height, width = image_shape
    for i, (filters, filter_pieces, kernel, pad, window, step) in enumerate(
        zip(channels, pieces, kernels, padding, pool, stride, strict=True), start=1
    ):
        dropout(layers, [depth, height, width], keep_input, keep_hidden)
        height, width = (_side(side + 2 * pad, kernel, f"convolution {i}: a kernel") for side in (height, width))
        untied = None if tied_biases else (height, width)
        convolution = Conv(depth, filter_pieces * filters, kernel, init, padding=pad, untied=untied)
        layers += [convolution, Maxout(filter_pieces)]
        if window < step:
            raise ValueError(f"convolution {i}: pooling windows of {window} leave gaps at stride {step}")
        layers.append(MaxPool(window, step))
        for side in (height, width):
            _side(side, window, f"convolution {i}: a pooling window")
        height, width = (math.ceil((side - window) / step) + 1 for side in (height, width))
        depth = filters
    inputs = depth * height * width
    return maxout_on(layers, inputs, classes, units, unit_pieces, init, keep_input, keep_hidden)


def _side(side: int, window: int, name: str) -> int:
    if window > side:
        raise ValueError(f"{name} of {window} does not fit on {side} pixels")
    return side - window + 1

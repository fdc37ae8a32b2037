"""Dense networks."""

import math
from collections.abc import Sequence

from torch import nn

from gradreg.models.layers import Linear, Maxout, dropout, glorot


def dense_maxout(
    image_shape: Sequence[int],
    classes: int,
    *,
    units: Sequence[int],
    pieces: int,
    init: float = 0.005,
    keep_input: float = 1.0,
    keep_hidden: float = 1.0,
) -> nn.Module:
    """Maxout layers of ``units`` outputs each, then a linear layer to the logits.

    W ~ U(-init, init) and zero biases; 0.005 is the value of the maxout paper for permutation-invariant MNIST. Dropout
    keeps an input with probability keep_input and a hidden unit with keep_hidden (1: no dropout). As in that paper,
    kept inputs are not rescaled, and kept hidden units are.
    """
    return maxout_on([], math.prod(image_shape), classes, units, pieces, init, keep_input, keep_hidden)


def maxout_on(
    layers: Sequence[nn.Module],
    inputs: int,
    classes: int,
    units: Sequence[int],
    pieces: int,
    init: float,
    keep_input: float,
    keep_hidden: float,
) -> nn.Module:
    """``layers``, which turn an image into ``inputs`` numbers, followed by the network of ``dense_maxout``."""
    network = [*layers, nn.Flatten(-3)]
    for width in units:
        dropout(network, [inputs], keep_input, keep_hidden)
        network += [Linear(inputs, pieces * width, init), Maxout(pieces)]
        inputs = width
    dropout(network, [inputs], keep_input, keep_hidden)
    return nn.Sequential(*network, Linear(inputs, classes, init))


def sigmoid_mlp(
    image_shape: Sequence[int], classes: int, *, units: Sequence[int], keep_input: float = 1.0, keep_hidden: float = 1.0
) -> nn.Module:
    """Dense layers with logistic sigmoids, then a linear layer to the logits; dropout as in ``dense_maxout``.

    W ~ U(-r, r) with r = 4 * sqrt(6 / (inputs + outputs)) below a sigmoid and a quarter of that at the output
    (Glorot and Bengio 2010, equation 16 and its rule for the logistic function); zero biases.
    """
    layers: list[nn.Module] = [nn.Flatten(-3)]
    inputs = math.prod(image_shape)
    for width in units:
        dropout(layers, [inputs], keep_input, keep_hidden)
        layers += [Linear(inputs, width, 4 * glorot(inputs, width)), nn.Sigmoid()]
        inputs = width
    dropout(layers, [inputs], keep_input, keep_hidden)
    return nn.Sequential(*layers, Linear(inputs, classes, glorot(inputs, classes)))

"""Layers of networks. Random numbers come from a generator that the caller passes."""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Linear(nn.Linear):
    """A dense layer whose weights start uniform in [-init_bound, init_bound] and whose biases start at 0."""

    def __init__(self, inputs: int, outputs: int, init_bound: float) -> None:
        self.init_bound = init_bound
        super().__init__(inputs, outputs)

    def reset(self, generator: torch.Generator) -> None:
        """Draw the initial parameters."""
        self.weight.uniform_(-self.init_bound, self.init_bound, generator=generator)
        self.bias.zero_()


class Conv(nn.Module):
    """Cross-correlation with zero padding, (N, channels, H, W) -> (N, filters, H', W').

    Weights start uniform in [-init_bound, init_bound]; biases start at 0. There is one bias per filter. If ``untied``
    is the size (H', W') of the output, there is one per filter and location.
    """

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel: int,
        init_bound: float,
        *,
        padding: int = 0,
        stride: int = 1,
        untied: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.init_bound, self.padding, self.stride, self.tied = init_bound, padding, stride, untied is None
        self.weight = nn.Parameter(torch.empty(filters, channels, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(filters, *(untied or ())))

    def reset(self, generator: torch.Generator) -> None:
        """Draw the initial parameters."""
        self.weight.uniform_(-self.init_bound, self.init_bound, generator=generator)
        self.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, filters, H', W')."""
        if x.shape[1] == 1 and x.device.type == "cpu":
            return self._matrix_product(x) + (self.bias.view(-1, 1, 1) if self.tied else self.bias)
        bias = self.bias if self.tied else None
        z = F.conv2d(x, self.weight, bias, stride=self.stride, padding=self.padding)
        return z if self.tied else z + self.bias

    def _matrix_product(self, x: Tensor) -> Tensor:
        """The same as a matrix product: with one channel, the input gradient takes a fraction of the time on a CPU."""
        kernel = self.weight.shape[-1]
        columns = F.unfold(x, kernel, padding=self.padding, stride=self.stride)
        width = (x.shape[-1] + 2 * self.padding - kernel) // self.stride + 1
        z: Tensor = (self.weight.flatten(1) @ columns).unflatten(-1, (-1, width))
        return z


class Maxout(nn.Module):
    """h_j = max over k of z_jk, the largest of each unit's ``pieces``: (N, pieces * units, ...) -> (N, units, ...).

    The filters of piece 0 come first. Tied pieces share the gradient. Goodfellow et al., "Maxout networks", ICML 2013.
    """

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """(N, pieces * units, ...) -> (N, units, ...)."""
        filters: Tensor = x.unflatten(1, (self.pieces, x.shape[1] // self.pieces))
        if x.device.type != "cpu":  # fewer passes over memory, and the same gradient
            return filters.amax(1)
        # Arithmetic only: on a CPU, indexing and comparisons take several times as long.
        detached = filters.detach()
        is_largest = (detached - detached.amax(1, keepdim=True)).sign() + 1  # 1 for the largest, 0 for the others
        return (filters * (is_largest / is_largest.sum(1, keepdim=True))).sum(1)


class Dropout(nn.Module):
    """Multiplies inputs (N, *shape) by a mask if there is one, and else returns them unchanged.

    The mask is a buffer that ``functional_call`` fills for each batch, so that all passes of an objective use the same
    mask. Srivastava et al., JMLR 2014.
    """

    mask: Tensor | None

    def __init__(self, shape: Sequence[int], keep: float, rescale: bool) -> None:
        super().__init__()
        self.shape, self.keep, self.rescale = tuple(shape), keep, rescale
        self.register_buffer("mask", None, persistent=False)

    def mask_from(self, uniform: Tensor) -> Tensor:
        """A mask from numbers uniform in [0, 1): 0 where an element is dropped, else 1 / keep if rescaled, else 1."""
        kept = uniform < self.keep
        return kept.float() / (self.keep if self.rescale else 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, *shape) -> (N, *shape)."""
        return x if self.mask is None else x * self.mask.to(x.dtype)


def dropout(layers: list[nn.Module], shape: Sequence[int], keep_input: float, keep_hidden: float) -> None:
    """Append dropout to ``layers`` as in the maxout paper: of inputs before the first weights, else of hidden units.

    Kept inputs are not rescaled, kept hidden units are. Nothing is appended if everything is kept.
    """
    first = not any(isinstance(layer, Linear | Conv) for layer in layers)
    keep = keep_input if first else keep_hidden
    if keep < 1:
        layers.append(Dropout(shape, keep, rescale=not first))


def cap_norms(parameters: Mapping[str, Tensor], max_norm: float | Mapping[str, float]) -> None:
    """Project, in place, each unit's incoming weight vector onto the L2 ball of radius ``max_norm``.

    parameters: name -> (R, outputs, inputs, ...) for R replicas; max_norm: one radius, or one per name. Only weights
    are capped (``is_weight``), and each filter of a maxout unit by itself. Srivastava et al. 2014, section 5.1.
    """
    for name, weight in parameters.items():
        if is_weight(name, weight[0]):
            radius = max_norm[name] if isinstance(max_norm, Mapping) else max_norm
            weight.view(-1, *weight.shape[2:]).renorm_(2, 0, radius)


def is_weight(name: str, value: Tensor) -> bool:
    """Whether a parameter of one network holds the incoming weights of units, (outputs, inputs, ...)."""
    return name.endswith("weight") and value.ndim > 1


def glorot(inputs: int, outputs: int) -> float:
    """The bound sqrt(6 / (inputs + outputs)) of Glorot and Bengio 2010, equation 16."""
    return math.sqrt(6 / (inputs + outputs))

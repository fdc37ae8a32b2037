"""Networks: images in [0, 1] in, logits out; any scaling of the input is part of the network."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from gradreg.files import atomic_path


class Linear(nn.Linear):
    """A dense layer whose weights start uniform in [-init_bound, init_bound] and whose biases start at 0."""

    def __init__(self, inputs: int, outputs: int, init_bound: float) -> None:
        self.init_bound = init_bound
        super().__init__(inputs, outputs)

    def reset(self, generator: torch.Generator | None) -> None:
        """Draw the initial parameters."""
        self.weight.uniform_(-self.init_bound, self.init_bound, generator=generator)
        self.bias.zero_()


class MaxoutLayer(Linear):
    """h_j(x) = max over k of (W_jk x + b_jk): ``units`` outputs, each the largest of ``pieces`` linear filters.

    (N, inputs) -> (N, units). Goodfellow et al., "Maxout networks", ICML 2013. Each row of ``weight``
    (pieces * units, inputs) is one filter, all filters of piece 0 first.
    """

    def __init__(self, inputs: int, units: int, pieces: int, init_bound: float) -> None:
        super().__init__(inputs, pieces * units, init_bound)
        self.pieces, self.units = pieces, units

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs) -> (N, units)."""
        filters: Tensor = F.linear(x, self.weight, self.bias).unflatten(-1, (self.pieces, self.units))
        return filters.max(-2).values


class Dropout(nn.Module):
    """Multiplies inputs (N, *shape) by a mask, where one is given, and else passes them on.

    The mask is a buffer, for ``functional_call`` to fill for each batch: so that every pass of an objective sees the
    same one. Srivastava et al., JMLR 2014.
    """

    mask: Tensor | None

    def __init__(self, shape: Sequence[int], keep: float, rescale: bool) -> None:
        super().__init__()
        self.shape, self.keep, self.rescale = tuple(shape), keep, rescale
        self.register_buffer("mask", None, persistent=False)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """A mask for n samples, (n, *shape): nonzero with probability keep; 1 / keep there if rescaled, else 1."""
        kept = torch.rand(n, *self.shape, generator=generator) < self.keep
        return kept.float() / (self.keep if self.rescale else 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, *shape) -> (N, *shape)."""
        return x if self.mask is None else x * self.mask


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

    W ~ U(-init, init) and zero biases throughout; .005 is the maxout paper's, for permutation-invariant MNIST. Dropout
    keeps an input with probability keep_input, and what a hidden layer passes on with keep_hidden (1: no dropout);
    as in that paper, kept inputs are not rescaled, and kept hidden units are.
    """
    layers: list[nn.Module] = [nn.Flatten(-3)]
    inputs = math.prod(image_shape)
    for i, width in enumerate((*units, classes)):
        keep = keep_hidden if i else keep_input
        if keep < 1:
            layers.append(Dropout([inputs], keep, rescale=i > 0))
        layers.append(MaxoutLayer(inputs, width, pieces, init) if i < len(units) else Linear(inputs, width, init))
        inputs = width
    return nn.Sequential(*layers)


def sigmoid_mlp(image_shape: Sequence[int], classes: int, *, units: Sequence[int]) -> nn.Module:
    """Dense layers with logistic sigmoids, then a linear layer to the logits.

    W ~ U(-r, r) with r = 4 * sqrt(6 / (inputs + outputs)) below a sigmoid and a quarter of that at the
    output (Glorot and Bengio 2010, equation 16, and its rule for the logistic function); zero biases.
    """
    layers: list[nn.Module] = [nn.Flatten(-3)]
    inputs = math.prod(image_shape)
    for width in units:
        layers += [Linear(inputs, width, 4 * math.sqrt(6 / (inputs + width))), nn.Sigmoid()]
        inputs = width
    layers.append(Linear(inputs, classes, math.sqrt(6 / (inputs + classes))))
    return nn.Sequential(*layers)


MODELS: dict[str, Callable[..., nn.Module]] = {"maxout": dense_maxout, "sigmoid_mlp": sigmoid_mlp}


def build(
    kind: str,
    image_shape: Sequence[int],
    classes: int,
    settings: Mapping[str, Any],
    generator: torch.Generator | None = None,
) -> nn.Module:
    """A network for images of ``image_shape`` (C, H, W), initialised from ``generator``.

    Raises ValueError for an unknown kind, TypeError for settings that the kind does not have.
    """
    if kind not in MODELS:
        raise ValueError(f"no model of kind {kind!r}; there are {', '.join(sorted(MODELS))}")
    model = MODELS[kind](image_shape, classes, **settings)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, Linear):
                layer.reset(generator)
    return model


def cap_norms(parameters: Mapping[str, Tensor], max_norm: float) -> None:
    """Project, in place, each unit's incoming weight vector onto the L2 ball of radius ``max_norm``.

    parameters: name -> (R, outputs, inputs, ...) for R replicas; only names ending in ``weight`` count, and
    every filter of a maxout unit is a vector of its own (Srivastava et al. 2014, section 5.1).
    """
    for name, weight in parameters.items():
        if name.endswith("weight"):
            length = torch.linalg.vector_norm(weight.flatten(2), dim=2)
            factor = (max_norm / length).clamp(max=1)
            weight.mul_(factor.reshape(factor.shape + (1,) * (weight.ndim - 2)))


def save(
    path: str | Path,
    parameters: Mapping[str, Tensor],
    kind: str,
    image_shape: Sequence[int],
    classes: int,
    settings: Mapping[str, Any],
) -> None:
    """Write one network as safetensors with what ``load`` needs to rebuild it, atomically."""
    architecture = {
        "kind": kind,
        "image_shape": list(image_shape),
        "classes": classes,
        "settings": dict(settings),
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in parameters.items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"architecture": json.dumps(architecture, sort_keys=True)})


def digest(parameters: Mapping[str, Tensor]) -> str:
    """SHA-256 of all values, in the order of their names: equal for networks that are equal to the bit."""
    state = hashlib.sha256()
    for name in sorted(parameters):
        state.update(parameters[name].detach().cpu().contiguous().numpy().tobytes())
    return state.hexdigest()


def load(path: str | Path, device: str | torch.device = "cpu") -> nn.Module:
    """The network that ``save`` wrote, in evaluation mode, its parameters frozen."""
    with safe_open(path, framework="pt", device=str(device)) as file:
        architecture = json.loads(file.metadata()["architecture"])
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    with torch.device("meta"):
        model = MODELS[architecture["kind"]](
            architecture["image_shape"], architecture["classes"], **architecture["settings"]
        )
    model.load_state_dict(state, assign=True)
    return model.eval().requires_grad_(False)

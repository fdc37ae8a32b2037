"""Networks that were trained elsewhere, from files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from gradreg.models.checkpoint import build, from_state
from gradreg.models.program import STATE
from gradreg.planning.entries import is_program
from gradreg.planning.specs import ModelSpec
from gradreg.storage import tensors
from gradreg.storage.files import DamagedFileError


def state(file: str, spec: ModelSpec, image_shape: Sequence[int], classes: int) -> dict[str, Tensor]:
    """The state of a network from a file: weights by their names, as float32, or the bytes of an exported program.

    Raises ValueError for a file that cannot be read, and for weights that are not those of the model ``spec`` for
    images of ``image_shape`` (C, H, W).
    """
    if is_program(file):
        return {STATE: torch.from_numpy(np.frombuffer(Path(file).read_bytes(), np.uint8).copy())}
    try:
        weights, _ = tensors.read(file)
    except DamagedFileError as error:
        raise ValueError(f"{file} cannot be read: {error.reason}") from None
    with torch.device("meta"):
        wanted = {name: tuple(value.shape) for name, value in build(spec, image_shape, classes).named_parameters()}
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    differ = sorted(name for name in wanted.keys() | shapes.keys() if wanted.get(name) != shapes.get(name))
    if differ:
        name, more = differ[0], f", and {len(differ) - 1} more" if len(differ) > 1 else ""
        here, there = (f"{of[name]}" if name in of else "nothing" for of in (shapes, wanted))
        raise ValueError(f"{file} has not the weights of this {spec.kind}: {name} is {here}, not {there}{more}")
    return {name: value.float() for name, value in weights.items()}


def network(file: str, spec: ModelSpec, image_shape: Sequence[int], classes: int) -> nn.Module:
    """The network of a file, in evaluation mode and with frozen weights. Raises ValueError like ``state``."""
    try:
        return from_state(state(file, spec, image_shape, classes), spec, image_shape, classes)
    except ValueError as error:
        raise ValueError(str(error) if file in str(error) else f"{file}: {error}") from None

"""Building networks from their settings, saving them and loading them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gradreg import registry
from gradreg.models import preprocessing
from gradreg.models.preprocessing import Whitening
from gradreg.planning.specs import ModelSpec, to_json
from gradreg.storage import tensors
from gradreg.storage.files import DamagedFileError, reading


def build(
    spec: ModelSpec, image_shape: Sequence[int], classes: int, generator: torch.Generator | None = None
) -> nn.Module:
    """A network for images of ``image_shape`` (C, H, W), without its input layer, initialised from ``generator``.

    spec: ``kind``, the settings of that kind, and ``input``, which ``preprocessing`` handles. Modules with a method
    ``reset(generator)`` draw their initial parameters themselves. Other modules draw them from PyTorch's generator,
    seeded like ``generator``. Raises ValueError for an unknown kind, and for settings that it does not have or refuses.
    """
    function = registry.function("models", spec.kind)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator.initial_seed() if generator else 0)
        try:
            model: nn.Module = function(image_shape, classes, **spec.settings)
        except TypeError as error:
            raise ValueError(f"model of kind {spec.kind}: {error}") from None
    if generator is not None:
        with torch.no_grad():
            for layer in model.modules():
                reset: Any = getattr(layer, "reset", None)
                if reset is not None:
                    reset(generator)
    return model


def save(
    path: str | Path,
    parameters: Mapping[str, Tensor],
    spec: ModelSpec,
    image_shape: Sequence[int],
    classes: int,
    whitening: Whitening | None = None,
) -> None:
    """Write one network as safetensors, atomically, with the settings from which ``load`` rebuilds it.

    The whitening is in a separate file; only its hash is stored here.
    """
    architecture = {
        "spec": spec,
        "image_shape": list(image_shape),
        "classes": classes,
        "whitening": None if whitening is None else whitening.digest,
    }
    tensors.write(path, parameters, {"architecture": to_json(architecture)})


def digest(parameters: Mapping[str, Tensor]) -> str:
    """SHA-256 of all values in the order of their names, equal for networks that are bit-identical."""
    state = hashlib.sha256()
    for name in sorted(parameters):
        state.update(parameters[name].detach().cpu().contiguous().numpy().tobytes())
    return state.hexdigest()


def load(path: str | Path, device: str | torch.device = "cpu", whitening: Whitening | None = None) -> nn.Module:
    """The network that ``save`` wrote, for images in [0, 1], in evaluation mode and with frozen parameters.

    whitening: the one with which the network was trained, if any. Raises ValueError for another.
    """
    state, metadata = tensors.read(path, device)
    if "architecture" not in metadata:
        raise DamagedFileError(path, "not a network of gradreg")
    with reading(path):
        architecture = json.loads(metadata["architecture"])
        spec = ModelSpec.of(architecture["spec"])
    needed, given = architecture["whitening"], None if whitening is None else whitening.digest
    if needed != given:
        raise ValueError(f"{path} was trained with the whitening {str(needed)[:12]}, not {str(given)[:12]}")
    return from_state(state, spec, architecture["image_shape"], architecture["classes"], whitening)


def from_state(
    state: Mapping[str, Tensor],
    spec: ModelSpec,
    image_shape: Sequence[int],
    classes: int,
    whitening: Whitening | None = None,
) -> nn.Module:
    """The network that has this state, where its tensors are, in evaluation mode and with frozen parameters."""
    with torch.device("meta"):
        model = build(spec, image_shape, classes)
    model.load_state_dict(state, assign=True)
    first = preprocessing.layer(spec.input, whitening)
    if not isinstance(first, nn.Identity):
        device = next(iter(state.values())).device
        model = nn.Sequential(first.to(device), model)
    return model.eval().requires_grad_(False)

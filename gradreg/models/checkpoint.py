"""Networks from their settings, to files and back."""

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
from gradreg.storage import tensors
from gradreg.storage.files import reading


def build(
    spec: Mapping[str, Any], image_shape: Sequence[int], classes: int, generator: torch.Generator | None = None
) -> nn.Module:
    """A network for images of ``image_shape`` (C, H, W), without its input layer, initialised from ``generator``.

    spec: ``kind``, the settings of the kind, and ``input``, which is left to ``preprocessing``. Modules with a method
    ``reset(generator)`` draw their own initial parameters; those of others come from PyTorch's generator, seeded as
    ``generator`` was. Raises ValueError for an unknown kind, for settings that it does not have, and for those it
    refuses.
    """
    settings = {key: value for key, value in spec.items() if key not in ("kind", "input")}
    function = registry.function("models", spec["kind"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator.initial_seed() if generator else 0)
        try:
            model: nn.Module = function(image_shape, classes, **settings)
        except TypeError as error:
            raise ValueError(f"model of kind {spec['kind']}: {error}") from None
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
    spec: Mapping[str, Any],
    image_shape: Sequence[int],
    classes: int,
    whitening: Whitening | None = None,
) -> None:
    """Write one network as safetensors with what ``load`` needs to rebuild it, atomically.

    Of the whitening, which is a file of its own, only the hash is kept.
    """
    architecture = {
        "spec": dict(spec),
        "image_shape": list(image_shape),
        "classes": classes,
        "whitening": None if whitening is None else whitening.digest,
    }
    tensors.write(path, parameters, {"architecture": json.dumps(architecture, sort_keys=True)})


def digest(parameters: Mapping[str, Tensor]) -> str:
    """SHA-256 of all values, in the order of their names: equal for networks that are equal to the bit."""
    state = hashlib.sha256()
    for name in sorted(parameters):
        state.update(parameters[name].detach().cpu().contiguous().numpy().tobytes())
    return state.hexdigest()


def load(path: str | Path, device: str | torch.device = "cpu", whitening: Whitening | None = None) -> nn.Module:
    """The network that ``save`` wrote, images in [0, 1] in, in evaluation mode, its parameters frozen.

    whitening: the one it was trained on, where its input is whitened. Raises ValueError for another.
    """
    state, about = tensors.read(path, device)
    with reading(path):
        architecture = json.loads(about["architecture"])
    wanted = architecture["whitening"]
    if wanted != (None if whitening is None else whitening.digest):
        given = f"not {whitening.digest[:12]}..." if whitening else "which was not given"
        raise ValueError(f"{path} was trained on images whitened by {str(wanted)[:12]}..., {given}")
    with torch.device("meta"):
        model = build(architecture["spec"], architecture["image_shape"], architecture["classes"])
    model.load_state_dict(state, assign=True)
    first = preprocessing.layer(architecture["spec"].get("input", "pixels"), whitening)
    if not isinstance(first, nn.Identity):
        model = nn.Sequential(first.to(device), model)
    return model.eval().requires_grad_(False)

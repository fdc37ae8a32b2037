"""Tensors in files: safetensors, written atomically."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from gradreg.storage.files import atomic_path, reading


def write(path: str | Path, tensors: Mapping[str, Tensor], about: Mapping[str, str] | None = None) -> None:
    """Write tensors by name, and what is said about them. Raises OSError where that fails."""
    content = save({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, dict(about or {}))
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def read(path: str | Path, device: str | torch.device = "cpu") -> tuple[dict[str, Tensor], dict[str, str]]:
    """What ``write`` was given. Raises DamagedFileError for anything else, FileNotFoundError where nothing is."""
    with reading(path, SafetensorError), safe_open(path, framework="pt", device=str(device)) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118

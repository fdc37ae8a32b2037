"""Tensors in safetensors files, written atomically."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from gradreg.storage.files import atomic_path, reading


def write(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors by name, with metadata. Raises OSError if that fails."""
    content = save({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, dict(metadata or {}))
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def read(path: str | Path, device: str | torch.device = "cpu") -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata that ``write`` wrote. Raises DamagedFileError for other content, or FileNotFoundError."""
    with reading(path, SafetensorError), safe_open(path, framework="pt", device=str(device)) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118

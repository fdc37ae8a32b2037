"""Reading a prepared data set."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gradreg.storage import npz


@dataclass(frozen=True)
class Split:
    """Images as uint8 (N, C, H, W) with values 0..top, and labels (N,) int64 in 0..classes-1."""

    images: Tensor
    labels: Tensor
    top: int
    classes: int

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        """The same split on another device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def pixels(self, index: Tensor | slice = slice(None)) -> Tensor:
        """The indexed images as float32 in [0, 1], of shape index.shape + (C, H, W)."""
        return self.images[index].float() / self.top

    def first(self, n: int) -> "Split":
        """The first n samples. Raises ValueError if there are fewer."""
        return self._part(slice(0, n), n)

    def last(self, n: int) -> "Split":
        """The last n samples. Raises ValueError if there are fewer."""
        return self._part(slice(len(self) - n, None), n)

    def _part(self, part: slice, n: int) -> "Split":
        if not 0 < n <= len(self):
            raise ValueError(f"{n} samples requested, but there are {len(self)}")
        return replace(self, images=self.images[part], labels=self.labels[part])


def load(path: str | Path, part: str) -> Split:
    """One ``part``, "train" or "test", of a file that ``gradreg.data.prepare`` wrote."""
    images, labels = f"{part}_images", f"{part}_labels"
    arrays = npz.read(path, [images, labels, "top", "classes"])
    tensors = torch.from_numpy(arrays[images]), torch.from_numpy(arrays[labels].astype(np.int64))
    return Split(*tensors, int(arrays["top"]), int(arrays["classes"]))


def held_in(path: str | Path, n_train: int, skip: int = 0) -> Split:
    """The training samples of a run: ``n_train`` of the training part, after the first ``skip``."""
    return load(path, "train").first(skip + n_train).last(n_train)


def held_out(path: str | Path, n_validation: int) -> Split:
    """The validation samples of a selection run: the last ``n_validation`` of the training part."""
    return load(path, "train").last(n_validation)

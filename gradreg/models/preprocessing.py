"""Preprocessing of images in [0, 1], as part of the network. Attacks differentiate through it and perturb pixels."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from gradreg.storage import tensors
from gradreg.storage.files import DamagedFileError

CHUNK = 5000


class Standardized(nn.Module):
    """(x - 0.5) / 0.25, roughly the mean and the standard deviation of natural images."""

    def forward(self, x: Tensor) -> Tensor:
        """The shape of x."""
        return (x - 0.5) / 0.25


class Whitening(nn.Module):
    """Contrast normalisation and ZCA: P (c(x) - m), of the shape of x, with P = (C + 0.1 I)^(-1/2).

    c subtracts an image's mean over all D values, divides by the L2 norm of the difference, and multiplies by 55. An
    image without contrast becomes 0. m and C are the mean and the covariance of c over training images. As in the
    maxout paper's code: make_cifar10_gcn_whitened.py in lisa-lab/pylearn2. mean: (D,); matrix: (D, D), symmetric.
    """

    SCALE, REGULARISER, MIN_NORM = 55.0, 0.1, 1e-8
    mean: Tensor
    matrix: Tensor

    def __init__(self, mean: Tensor, matrix: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("matrix", matrix)
        values = (mean.cpu().contiguous().numpy().tobytes(), matrix.cpu().contiguous().numpy().tobytes())
        self.digest = hashlib.sha256(b"".join(values)).hexdigest()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return ((normalised(x) - self.mean) @ self.matrix).view(x.shape)

    @classmethod
    def fit(cls, images: Tensor) -> "Whitening":
        """The whitening of images (N, C, H, W) of any type and scale, computed in double precision."""
        size = images[0].numel()
        total, squares = torch.zeros(size, dtype=torch.float64), torch.zeros(size, size, dtype=torch.float64)
        for chunk in images.split(CHUNK):
            values = normalised(chunk.double())
            total += values.sum(0)
            squares += values.T @ values
        mean = total / len(images)
        covariance = squares / len(images) - mean.outer(mean)
        eigenvalues, vectors = torch.linalg.eigh(covariance)
        # With fewer images than pixels, rounding makes some eigenvalues negative.
        matrix = (vectors * (eigenvalues.clamp(min=0) + cls.REGULARISER).rsqrt()) @ vectors.T
        return cls(mean.float(), matrix.float())

    def save(self, path: str | Path) -> None:
        """Write it as safetensors, atomically."""
        tensors.write(path, {"mean": self.mean, "matrix": self.matrix})

    @classmethod
    def load(cls, path: str | Path) -> "Whitening":
        """The whitening that ``save`` wrote. Raises DamagedFileError for another file."""
        values, _ = tensors.read(path)
        if values.keys() != {"mean", "matrix"}:
            raise DamagedFileError(path, "not a whitening")
        return cls(**values)


def normalised(x: Tensor) -> Tensor:
    """Images (N, ...) after contrast normalisation, as rows (N, D)."""
    rows = x.flatten(1)
    centred = rows - rows.mean(1, keepdim=True)
    squares = centred.square().sum(1, keepdim=True)
    length = torch.where(squares > Whitening.MIN_NORM**2, squares, 1).sqrt()
    return Whitening.SCALE * centred / length


def layer(name: str, whitening: Whitening | None) -> nn.Module:
    """The input layer ``name``: pixels, standardized or whitened. Raises ValueError unless only the last has one."""
    if (name == "whitened") != (whitening is not None):
        raise ValueError(f"input: {name} {'takes no' if whitening else 'needs a'} whitening")
    if whitening is not None:
        return whitening
    return Standardized() if name == "standardized" else nn.Identity()

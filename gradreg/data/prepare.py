"""Fetching a data set from the first source that delivers it, and verifying all of its bytes."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from gradreg import registry
from gradreg.data.sources import SourceError
from gradreg.registry.datasets import DATASETS, DatasetSpec
from gradreg.storage import npz

Arrays = dict[str, np.ndarray]
# The registered function of a data set takes data_dir and a folder for temporary files. It yields the sources in the
# order in which they are tried: a name, and a function that fetches the four arrays or raises SourceError.
Sources = Callable[[Path | None, Path], Iterator[tuple[str, Callable[[], Arrays]]]]
FEW_CHANGES = 20  # of label, if images were shuffled: with so few, an order is not judged


def check(arrays: Arrays, spec: DatasetSpec) -> None:
    """Raise SourceError unless all shapes, types and checksums are those of ``spec``."""
    for part, n in (("train", spec.n_train), ("test", spec.n_test)):
        for kind, shape in (("images", (n, *spec.image_shape)), ("labels", (n,))):
            name = f"{part}_{kind}"
            array = arrays[name]
            if array.shape != shape or array.dtype != np.uint8:
                raise SourceError(f"{name} is {array.dtype} {array.shape}, not uint8 {shape}")
            digest = hashlib.sha256(array.tobytes()).hexdigest()
            if digest != spec.sha256[name]:
                raise SourceError(f"{name} has sha256 {digest}, not {spec.sha256[name]}")
        _check_order(arrays[f"{part}_labels"], part)


def _check_order(labels: np.ndarray, part: str) -> None:
    """The first images are trained on, or evaluated, and the last held out: each must be a sample of all."""
    shares = np.bincount(labels) / len(labels)
    expected = (1 - (shares**2).sum()) * (len(labels) - 1)  # changes of label from one image to the next, if shuffled
    if expected > FEW_CHANGES and (labels[1:] != labels[:-1]).sum() < expected / 4:
        raise SourceError(
            f"the {part} images are sorted by class; shuffle them, as the first and the last are used apart"
        )


def prepare(dataset: str, path: str | Path, data_dir: str | Path | None = None) -> str:
    """Write the verified arrays of ``dataset`` to ``path`` (npz) and return the name of their source.

    Sources are tried in order. One that fails or delivers other bytes is skipped, and leaves no files. If all fail,
    raises SourceError, with the reason for each and the folder in which to put the official files.
    """
    spec = DATASETS[dataset]
    path = Path(path)
    folder = Path(data_dir).expanduser() if data_dir else None
    reasons = []
    sources: Sources = registry.function("datasets", dataset)
    for name, fetch in sources(folder, path.parent):
        try:
            arrays = fetch()
            check(arrays, spec)
        except SourceError as error:
            reasons.append(f"{name}: {error}")
            continue
        npz.write(path, {"top": np.int64(spec.top), "classes": np.int64(spec.classes), **arrays}, compress=False)
        return name
    remedy = f"put them into {folder}" if folder else "set data_dir to the folder that holds them"
    text = "; ".join(reasons)
    raise SourceError(f"{dataset}: no source answered. {text}. Get the official files elsewhere and {remedy}.")

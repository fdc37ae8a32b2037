"""Fetching a data set from whichever source answers, and checking every byte of it."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from gradreg import registry
from gradreg.data.sources import SourceError
from gradreg.registry.datasets import DATASETS, DatasetSpec
from gradreg.storage import npz

Arrays = dict[str, np.ndarray]
# The registered function of a data set yields its sources in the order to be tried, given data_dir and a folder for
# what is temporary: a name, and a function that fetches the four arrays or raises SourceError.
Sources = Callable[[Path | None, Path], Iterator[tuple[str, Callable[[], Arrays]]]]


def check(arrays: Arrays, spec: DatasetSpec) -> None:
    """Raise SourceError unless shapes, types and checksums are those of ``spec``."""
    for part, n in (("train", spec.n_train), ("test", spec.n_test)):
        for kind, shape in (("images", (n, *spec.image_shape)), ("labels", (n,))):
            name = f"{part}_{kind}"
            array = arrays[name]
            if array.shape != shape or array.dtype != np.uint8:
                raise SourceError(f"{name} is {array.dtype} {array.shape}, not uint8 {shape}")
            digest = hashlib.sha256(array.tobytes()).hexdigest()
            if digest != spec.sha256[name]:
                raise SourceError(f"{name} has sha256 {digest[:12]}..., not {spec.sha256[name][:12]}...")


def prepare(dataset: str, path: str | Path, data_dir: str | Path | None = None) -> str:
    """Write the verified arrays of ``dataset`` to ``path`` (npz) and return the name of the source they came from.

    The sources are tried in order; a source that does not answer or whose bytes are not the expected ones is
    passed over, and nothing of it remains. Raises SourceError, naming each source's reason and the folder to
    fill, when none serves.
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
    where = f"put them into {folder}" if folder else "name a folder that holds them as data_dir"
    raise SourceError(
        f"{dataset}: no source answered. " + "; ".join(reasons) + f". Get the official files elsewhere and {where}."
    )

"""The registered data sets: sizes, range of values and SHA-256 of every array, without heavy imports."""

import hashlib
from dataclasses import dataclass, fields
from typing import Any

from gradreg import registry


@dataclass(frozen=True)
class DatasetSpec:
    """Sizes and checksums of one data set.

    ``image_shape`` is (channels, height, width), and pixels are uint8 in 0..``top``. ``sha256`` is that of the bytes of
    each of the four arrays (uint8, C order).
    """

    image_shape: tuple[int, int, int]
    classes: int
    n_train: int
    n_test: int
    top: int
    sha256: dict[str, str]

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change if any array changes."""
        text = "".join(self.sha256[name] for name in sorted(self.sha256))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _spec(block: dict[str, Any]) -> DatasetSpec:
    channels, height, width = block["image_shape"]
    values = {field.name: block[field.name] for field in fields(DatasetSpec) if field.name != "image_shape"}
    return DatasetSpec(image_shape=(channels, height, width), **values)


DATASETS = {name: _spec(block) for name, block in registry.section("datasets").items()}

"""What each data set is: sizes, value range and SHA-256 of every array. Plain data; nothing heavy is imported here."""

import hashlib
from dataclasses import dataclass, fields
from typing import Any

from gradreg import registry


@dataclass(frozen=True)
class DatasetSpec:
    """Sizes and checksums of one data set.

    ``image_shape`` is (channels, height, width); pixels are uint8 in 0..``top``; ``sha256`` holds, for each of
    the four arrays, the SHA-256 of its bytes (uint8, C order).
    """

    image_shape: tuple[int, int, int]
    classes: int
    n_train: int
    n_test: int
    top: int
    sha256: dict[str, str]

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change whenever any array does."""
        text = "".join(self.sha256[name] for name in sorted(self.sha256))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _spec(own: dict[str, Any]) -> DatasetSpec:
    channels, height, width = own["image_shape"]
    values = {field.name: own[field.name] for field in fields(DatasetSpec) if field.name != "image_shape"}
    return DatasetSpec(image_shape=(channels, height, width), **values)


DATASETS = {name: _spec(own) for name, own in registry.section("datasets").items()}

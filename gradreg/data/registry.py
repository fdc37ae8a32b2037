"""What each data set is: sizes, value range and SHA-256 of every array. Plain data; nothing heavy is imported here."""

import hashlib
from dataclasses import dataclass

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


def _spec(image_shape: list[int], function: str, **own: object) -> DatasetSpec:
    channels, height, width = image_shape
    return DatasetSpec(image_shape=(channels, height, width), **own)  # type: ignore[arg-type]


DATASETS = {name: _spec(**own) for name, own in registry.section("datasets").items()}

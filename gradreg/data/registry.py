"""What each data set is: sizes, value range and SHA-256 of every array.

Plain data: read wherever an experiment is planned, so nothing heavy is imported here.
"""

import hashlib
from dataclasses import dataclass


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


DATASETS = {
    "digits": DatasetSpec(
        image_shape=(1, 8, 8),
        classes=10,
        n_train=1297,
        n_test=500,
        top=16,
        sha256={
            "train_images": "4e385d1b5d3c5fcfed1d15e4a50a2b2fdb3fa6fff7d8c53bd256e51f022a2961",
            "train_labels": "ce1ac99d98837f11ad7de48e026d4e1869758dd36329a6541b6e19f6d5f1680b",
            "test_images": "bcecce278448264861a41ea521b4df05a8a6fd4c56a2ad0515423750a8f49c1c",
            "test_labels": "4d1d6cd76db1e6747087feb54666c2b072329a6f4fa667fdab7d90b2c238120e",
        },
    ),
    "mnist": DatasetSpec(
        image_shape=(1, 28, 28),
        classes=10,
        n_train=60000,
        n_test=10000,
        top=255,
        sha256={
            "train_images": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
            "train_labels": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
            "test_images": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
            "test_labels": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
        },
    ),
}

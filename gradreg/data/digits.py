"""scikit-learn's embedded copy of the UCI optical digits: 1797 images of 8 x 8 pixels, values 0..16."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from gradreg.registry.datasets import DATASETS


def sources(data_dir: Path | None, scratch: Path) -> Iterator[tuple[str, Callable[[], dict[str, np.ndarray]]]]:
    """The only source is the installed package."""
    yield "scikit-learn", split


def split() -> dict[str, np.ndarray]:
    """The images in a fixed random order, of which the first ``n_train`` are the training set.

    The package has no official split, and its order groups the images by writer.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    images = digits.images[order].astype(np.uint8)[:, None]
    labels = digits.target[order].astype(np.uint8)
    n = DATASETS["digits"].n_train
    return {
        "train_images": images[:n],
        "train_labels": labels[:n],
        "test_images": images[n:],
        "test_labels": labels[n:],
    }

"""What the measurements of speed rest on: their bounds, medians and intervals, and other people's data format."""

import random

import torch
from torchvision.datasets import MNIST

from bench import common, jobs, steps
from gradreg.data.splits import Split


def test_the_bounds_of_the_dense_network():
    """784-240x5-240x5-10 by hand: F1 = 784 * 1200, F = F1 + 240 * 1200 + 240 * 10 products for an image."""
    first, whole = steps._products(common.DENSE, (1, 28, 28))
    assert (first, whole) == (2 * 784 * 1200, 2 * (784 * 1200 + 240 * 1200 + 240 * 10))
    bounds = {name: round(steps.bound(ways, first, whole), 2) for name, (_, ways) in steps.OBJECTIVES.items() if ways}
    assert (bounds["plain"], bounds["perturb"], bounds["perturb, mixed"], bounds["penalty"]) == (1, 1.89, 2.34, 2.34)


def test_intervals_hold_the_median():
    drawn = random.Random(0)
    for n in (6, 7, 9, 12):
        own = [common.summary([drawn.gauss(0, 1) for _ in range(n)]) for _ in range(2000)]
        assert sum(s["low"] <= 0 <= s["high"] for s in own) >= 0.945 * len(own)
    assert common.summary([3, 1, 2]) == {"median": 2, "low": 1, "high": 3, "n": 3}
    assert common.ratios([2, 4, 9], [1, 2, 3]) == {"median": 2, "low": 2, "high": 3, "n": 3}


def test_the_usual_loop_gets_the_same_images(tmp_path, monkeypatch):
    images = torch.randint(0, 256, (6, 1, 28, 28), dtype=torch.uint8)
    split = Split(images, torch.arange(6), 255, 10)
    monkeypatch.setattr(jobs.arrays, "load", lambda *_: split)
    jobs.write_idx(tmp_path / "MNIST" / "raw")
    for part in (True, False):
        data = MNIST(tmp_path, train=part)
        assert torch.equal(data.data, images.squeeze(1))
        assert data.targets.tolist() == list(range(6))

"""Typical images, and images that a network makes out of noise."""

import torch
from test_measure import split

from gradreg.evaluation import examples
from gradreg.planning.numerals import Numeral
from gradreg.planning.specs import GallerySpec


def test_a_gallery_shows_typical_images_and_the_answers(network):
    images = split(network)
    label = int(images.labels.mode().values)
    shown = examples.gallery(network, images, GallerySpec([label], 3, {Numeral("2"): Numeral("0.5")}))
    mine = images.pixels()[images.labels == label]
    nearest = (mine.flatten(1) - mine.flatten(1).mean(0)).norm(dim=1).argmin()
    assert torch.equal(shown["x"][0], mine[nearest])
    assert shown["answer_2"] == network(shown["x_2"]).argmax(1)
    assert (shown["x_2"] - shown["x"]).norm() <= 0.5 + 1e-5


def test_dreams_start_from_noise_and_end_when_the_network_is_sure(network):
    network[1].weight.mul_(3)
    shown = examples.dreams(network, (1, 4, 4), [0, 1, 2])
    x = shown["dream"]
    assert ((x >= 0) & (x <= 1)).all()
    probability = network(x).softmax(1).diagonal()
    assert torch.allclose(shown["dream_confidence"], probability)
    assert (probability >= examples.SURE).all()
    start = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(shown["dream_distance"], (x - start).flatten(1).norm(dim=1))
    # It stops there: one step of length 0.005 * sqrt(16) earlier it was not sure yet.
    sure = network(start).argmax(1).item()
    assert shown["dream_distance"].argmin() == sure
    assert torch.equal(shown["dream_start"], start)


def test_dreams_end_without_an_answer_after_as_many_steps_as_allowed(network):
    calls = []
    network.register_forward_hook(lambda *_: calls.append(1))
    network[1].weight.mul_(0)  # never sure
    network[1].bias.data.zero_()
    examples.dreams(network, (1, 4, 4), [0, 1, 2], steps=100)
    assert 2 * 100 <= len(calls) <= 2 * 100 + 1  # the probability and the gradient of each step

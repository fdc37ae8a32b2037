"""Estimates of distances: exact where the network is linear or its gap a parabola."""

import math

import linear
import pytest
import torch
from torch import nn

from gradreg.evaluation import local_estimates


def batched(f, x, y):
    return f(x, y)


@pytest.mark.parametrize("p", linear.DISTANCES)
def test_the_gradient_of_two_linear_classes_tells_the_distance(p):
    net = linear.network(2)
    x, y = linear.points(net, p, linear.DISTANCES[p])
    distances = local_estimates.distances(net, x, y, [p], batched)[p]["gradient_estimate"]
    assert torch.allclose(distances, torch.full_like(distances, linear.DISTANCES[p]), rtol=1e-3)


class Parabola(nn.Module):
    """The gap is 1 - c |x - m|^2 / 2 - b (x - m) along the first pixel: its distance to 0 is a root."""

    def forward(self, x):
        t = x.flatten(1)[:, 0] - 0.5
        return torch.stack([1 - 0.5 * t - 3 * t.square(), torch.zeros_like(t)], 1)


def test_the_curvature_gives_the_root_of_a_parabola():
    x, y = torch.full((2, 1, 2, 2), 0.5), torch.tensor([0, 1])
    distances = local_estimates.distances(Parabola(), x, y, [2.0], batched)[2.0]
    assert distances["gradient_estimate"].tolist() == pytest.approx([2.0, 0.0])
    root = (-0.5 + math.sqrt(0.25 + 4 * 3)) / 6  # 3 t^2 + t / 2 = 1
    assert distances["curvature_estimate"].tolist() == pytest.approx([root, 0.0], rel=1e-5)


def test_alignment_is_the_cosine_of_image_and_gradient():
    x = torch.tensor([[[[0.6, 0.8]]], [[[0.8, 0.0]]]])
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False)).eval()
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[3.0, 4.0], [-1.0, 0.0]]))
    assert local_estimates.alignment(net, x).tolist() == pytest.approx([1.0, 0.6])
    assert local_estimates.alignment(lambda a: 0 * a.flatten(1), x).tolist() == [0.0, 0.0]

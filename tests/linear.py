"""Linear networks, whose distance to the nearest error is known: |margin| / ||w_i - w_j||_q."""

import math

import torch
from torch import nn

from gradreg.norms import dual_exponent, norm

SIDE = 6


def network(classes):
    """Logits w (x - 1/2), so that grey is on every boundary."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, classes)).eval()
    with torch.no_grad():
        net[1].weight.copy_(torch.randn(classes, SIDE**2, generator=torch.Generator().manual_seed(1)))
        net[1].bias.copy_(-0.5 * net[1].weight.sum(1))
    return net


def nearest(net, x, y, p):
    """The distance in the p-norm to the nearest error, and its class."""
    weight, z = net[1].weight.detach().double(), net(x).detach().double()
    best, rival = torch.full((len(x),), math.inf, dtype=torch.float64), torch.zeros(len(x), dtype=torch.long)
    for j in range(len(weight)):
        margin = z.gather(1, y[:, None])[:, 0] - z[:, j]
        distance = margin / norm(weight[y] - weight[j], dual_exponent(p)).clamp(min=1e-30)
        distance[y == j] = math.inf
        rival[distance < best] = j
        best = torch.minimum(best, distance)
    return best, rival


def points(net, p, distance, n=24):
    """Images (n, 1, SIDE, SIDE) well inside the box, all this far from their nearest error, and their labels."""
    x = 0.5 + 0.05 * torch.randn(60 * n, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    y = net(x).argmax(1).detach()
    _, rival = nearest(net, x, y, p)
    normal, z = (net[1].weight[y] - net[1].weight[rival]).detach(), net(x).detach()
    margin = z.gather(1, y[:, None])[:, 0] - z.gather(1, rival[:, None])[:, 0]
    missing = distance * norm(normal, dual_exponent(p)) - margin
    x = x + (missing / normal.square().sum(1)).view(-1, 1, 1, 1) * normal.view(x.shape)
    found, same = nearest(net, x, y, p)
    flat = x.flatten(1)
    good = (
        (same == rival) & ((found - distance).abs() < 1e-4 * distance) & (flat.amin(1) > 0.25) & (flat.amax(1) < 0.75)
    )
    assert good.sum() >= n
    return x[good][:n], y[good][:n]


DISTANCES = {1.0: 0.2, 1.5: 0.1, 2.0: 0.05, 3.0: 0.03, math.inf: 0.01}

"""Examples to look at: perturbed images, and the images of a class that a network makes out of noise."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradreg.attacks.gradients import ascent_direction
from gradreg.attacks.steepest import multi_step
from gradreg.data.splits import Split
from gradreg.evaluation.measure import answers
from gradreg.planning.specs import GallerySpec

DREAM_STEPS, DREAM_STEP = 500, 0.005  # at most; L2 length for one pixel, which grows with their root
SURE = 0.99


def gallery(network: nn.Module, split: Split, settings: GallerySpec) -> dict[str, Tensor]:
    """A typical image of each class, the one nearest to the mean of its class, under the multi-step attack of each p.

    Returns arrays ``x`` (N, C, H, W), ``y``, ``answer`` and ``confidence`` (N,) for the images as they are and,
    for each p, ``x_p``, ``answer_p`` and ``confidence_p``.
    """
    there = set(split.labels.tolist())  # of few images, classes can be missing
    labels = [label for label in settings.classes if label in there] or [int(split.labels[0])]
    index = torch.stack([_typical(split, label) for label in labels])
    x, y = split.pixels(index), split.labels[index]
    confidence, answer = answers(network, x)
    arrays = {"x": x, "y": y, "answer": answer, "confidence": confidence}
    for p, eps in settings.eps.items():
        perturbed = multi_step(network, x, y, p.value, eps.value, settings.steps)
        confidence, answer = answers(network, perturbed)
        arrays |= {f"x_{p}": perturbed, f"answer_{p}": answer, f"confidence_{p}": confidence}
    return arrays


def _typical(split: Split, label: int) -> Tensor:
    of_class = (split.labels == label).nonzero().squeeze(1)
    x = split.pixels(of_class).flatten(1)
    return of_class[(x - x.mean(0)).norm(dim=1).argmin()]


def dreams(
    network: nn.Module, image_shape: Sequence[int], classes: Sequence[int], steps: int = DREAM_STEPS
) -> dict[str, Tensor]:
    """Images (N, C, H, W) in [0, 1] that start as one uniform noise image and climb until they are surely of a class.

    Steps of equal L2 length along the gradient of the class's log-odds, clipped to the box, until its probability is
    SURE, at most ``steps`` of them. Returns arrays ``dream``, ``dream_class``,
    ``dream_confidence``, the probability of the class in the end, ``dream_distance``, the L2 distance from the noise,
    and ``dream_start``, the noise.
    """
    device = next(network.parameters()).device
    start = torch.rand(1, *image_shape, generator=torch.Generator().manual_seed(0)).to(device)
    y = torch.tensor(list(classes), device=device)
    x = start.repeat(len(y), 1, 1, 1)
    length = DREAM_STEP * start.numel() ** 0.5
    for _ in range(steps):
        rest = (_probability(network, x, y) < SURE).nonzero().squeeze(1)
        if len(rest) == 0:
            break
        # Away from the loss: the direction that does not vanish for confident answers, turned round.
        g = -ascent_direction(network, x[rest], y[rest])
        size = g.flatten(1).norm(dim=1).clamp(min=torch.finfo(g.dtype).tiny).view(-1, 1, 1, 1)
        x[rest] = (x[rest] + length * g / size).clamp(0, 1)
    distance = (x - start).flatten(1).norm(dim=1)
    confidence = _probability(network, x, y)
    shown = {"dream": x, "dream_class": y, "dream_confidence": confidence, "dream_distance": distance}
    return {**shown, "dream_start": start}


@torch.no_grad()
def _probability(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.softmax(network(x), dim=1).gather(1, y.unsqueeze(1)).squeeze(1)

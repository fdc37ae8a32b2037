"""What is drawn at random for a step: images and their augmentation, dropout masks, directions for the objective."""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from gradreg import sampling
from gradreg.data.splits import Split
from gradreg.models.layers import Dropout
from gradreg.objectives.binding import Objective
from gradreg.planning.specs import Recipe
from gradreg.training.augmentation import augmented
from gradreg.training.schedules import batches

NOISE_SEEDS = 2**32  # far from the seeds that anyone chooses


class Batches:
    """The batches of replicas, by the settings of a recipe; each replica has its own generators.

    order_generators: on the CPU, one per replica, for the order of the images. ``size`` images make a batch, ``steps``
    batches an epoch. A last incomplete batch is left out.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        order_generators: Sequence[torch.Generator],
        train: Split,
        recipe: Recipe,
        dropouts: Mapping[str, Dropout],
        objective: Objective,
    ) -> None:
        self.train, self.recipe, self.dropouts, self.objective = train, recipe, dropouts, objective
        self.size, self.steps = batches(len(train), recipe)
        device = train.labels.device
        # Their own, so that an objective with noise sees the images in the same order as one without.
        noise = [torch.Generator(device).manual_seed(NOISE_SEEDS + seed) for seed in seeds]
        self.generators = {"order": list(order_generators), "noise": noise}

    def order(self) -> Tensor:
        """The images of an epoch, in the order in which they are seen, (R, steps * size), on the device."""
        steps_of_pass = len(self.train) // self.size
        passes, used = math.ceil(self.steps / steps_of_pass), steps_of_pass * self.size
        orders = [
            torch.cat([torch.randperm(len(self.train), generator=generator)[:used] for _ in range(passes)])
            for generator in self.generators["order"]
        ]
        return torch.stack(orders).to(self.train.labels.device)

    def pixels(self, index: Tensor) -> Tensor:
        """The indexed images (R, N, C, H, W), shifted and flipped where the recipe says so."""
        x, pad, flip = self.train.pixels(index), self.recipe.pad, self.recipe.flip
        if not pad and not flip:
            return x
        pairs = zip(x, self.generators["noise"], strict=True)
        return torch.stack([augmented(images, pad, flip, generator) for images, generator in pairs])

    def targets(self, labels: Tensor) -> Tensor:
        """The labels, or with label smoothing their distributions (..., classes)."""
        share = self.recipe.label_smoothing
        if not share:
            return labels
        whole: Tensor = F.one_hot(labels, self.train.classes).float()
        return (1 - share) * whole + share / self.train.classes

    def random(self, n: int) -> dict[str, Tensor]:
        """What a step on n images draws, (R, n, ...): dropout masks by name, and ``draw`` for the objective."""
        sizes = [n * math.prod(layer.shape) for layer in self.dropouts.values()]
        uniform, draws = [], []
        for generator in self.generators["noise"]:
            if sizes:  # for all masks at once: small kernels are what a step on a GPU waits for
                uniform.append(torch.rand(sum(sizes), generator=generator, device=generator.device))
            if self.objective.distribution:
                shape, p = (n, *self.train.images.shape[1:]), self.objective.p
                p = p if isinstance(p, float) else math.inf
                draws.append(sampling.draw(self.objective.distribution, shape, generator, p))
        drawn = {}
        if sizes:
            parts = torch.stack(uniform).split(sizes, 1)
            for (name, layer), part in zip(self.dropouts.items(), parts, strict=True):
                drawn[f"{name}.mask"] = layer.mask_from(part.view(-1, n, *layer.shape))
        if draws:
            drawn["draw"] = torch.stack(draws)
        return drawn

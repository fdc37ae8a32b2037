"""What is read of replicas while they are trained: loss and errors on a split, the collapse probe, the objective.

parameters: name -> (R, ...), of R replicas.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import vmap

from gradreg import registry
from gradreg.data.splits import Split
from gradreg.norms import norm
from gradreg.objectives.ascent import EXACT_PROJECTIONS, ascend_in_one_of, steepest
from gradreg.objectives.differentiation import Params, Strength, by_autograd, input_gradient
from gradreg.planning.specs import WatchSpec
from gradreg.training.batches import Batches
from gradreg.training.loss import TrainingLoss

BATCH = 1000
PROBE_IMAGES = 100


@torch.no_grad()
def loss_and_error(loss: TrainingLoss, parameters: Params, split: Split) -> tuple[list[float], list[float]]:
    """Mean cross-entropy of each replica on a split, and its error."""

    def sums(values: Params, x: Tensor, y: Tensor) -> Tensor:
        logits = loss.logits(values, x)
        wrong = (logits.argmax(-1) != y).sum()
        return torch.stack([F.cross_entropy(logits, y, reduction="sum").double(), wrong.double()])

    total = torch.zeros(1, 2, dtype=torch.double, device=split.labels.device)
    for start in range(0, len(split), BATCH):
        part = slice(start, start + BATCH)
        total = total + _of_each(sums, parameters, loss.to_space(split.pixels(part)), split.labels[part])
    losses, errors = (total / len(split)).T.tolist()
    return losses, errors


@torch.no_grad()
def has_finite_answers(loss: TrainingLoss, parameters: Params, train: Split) -> Tensor:
    """Whether the logits of each replica on the first training images are finite, (R,)."""

    def finite(values: Params, x: Tensor) -> Tensor:
        return loss.logits(values, x).isfinite().all()

    return _of_each(finite, parameters, loss.to_space(train.first(min(PROBE_IMAGES, len(train))).pixels()))


def probe_error(loss: TrainingLoss, parameters: Params, train: Split, eps: Strength, steps: int) -> list[float] | None:
    """Error of each replica on the first training images, each moved by ``steps`` ascent steps to p-norm eps.

    With several norms the steps are those in the union of their balls. A network that withstands one step but not
    several has collapsed. None where the objective's eps is not a length, or no ascent in several norms is known.
    """
    p = loss.objective.p
    if p is None or not loss.objective.moves:
        return None
    norms = p if isinstance(p, Sequence) else [p]
    if len(norms) > 1 and not set(norms) <= set(EXACT_PROJECTIONS):
        return None
    lengths = eps if isinstance(eps, Tensor) and eps.ndim else [eps]
    images = train.first(min(PROBE_IMAGES, len(train)))

    def error(values: Params, x: Tensor, y: Tensor) -> Tensor:
        s = ascend_in_one_of(loss.logits, values, x, y, p=norms, eps=lengths, steps=steps, choose=steepest)
        return (loss.logits(values, x + s).argmax(-1) != y).float().mean()

    errors: list[float] = _of_each(error, parameters, loss.to_space(images.pixels()), images.labels).tolist()
    return errors


def participation_ratio(loss: TrainingLoss, parameters: Params, train: Split) -> list[float]:
    """Mean of (||g||_1 / ||g||_2)^2 / D over the first training images, of each replica.

    g: input gradient, of D numbers; images without one are left out. 1 / D where one entry is not zero, 1 where all are
    of equal size. Mehouachi and Jabari (2025), who do not divide by D, relate it to the collapse of one-step training.
    """
    images = train.first(min(PROBE_IMAGES, len(train)))

    def ratio(values: Params, x: Tensor, y: Tensor) -> Tensor:
        g = input_gradient(loss.logits, values, x, y)
        length = norm(g, 2)
        ratios = (norm(g, 1) / torch.where(length > 0, length, 1)).square() / g[0].numel()
        return ratios.sum() / (length > 0).sum().clamp(min=1)

    ratios: list[float] = _of_each(ratio, parameters, loss.to_space(images.pixels()), images.labels).tolist()
    return ratios


def error_under_attack(loss: TrainingLoss, parameters: Params, split: Split, watch: WatchSpec) -> float:
    """Error of the only replica on the first images of a split, under the attack, in any of the norms, of ``watch``."""
    values = {name: value[0] for name, value in parameters.items()}
    images = split.first(min(watch.images, len(split)))
    x, y = images.pixels(), images.labels
    # By its registration: training without a watch does not depend on the code of attacks.
    attack = registry.bound("attacks", watch.attack)

    def network(at: Tensor) -> Tensor:
        return loss.logits(values, loss.to_space(at))

    @torch.no_grad()
    def wrong(at: Tensor, labels: Tensor) -> Tensor:
        return network(at).argmax(-1) != labels

    fooled = torch.cat([wrong(a, b) for a, b in zip(x.split(BATCH), y.split(BATCH), strict=True)])
    for p, eps in watch.eps.items():
        for part in (~fooled).nonzero().squeeze(1).split(BATCH):
            if len(part):
                fooled[part] = wrong(attack(network, x[part], y[part], p=p.value, eps=eps.value), y[part])
    return fooled.double().mean().item()


@torch.no_grad()
def objective_value(loss: TrainingLoss, parameters: Params, batches: Batches, split: Split, eps: Strength) -> float:
    """The training objective of the only replica on a split, with dropout, over whole batches."""
    values = {name: value[0] for name, value in parameters.items()}
    losses, size = [], min(batches.size, len(split))
    with by_autograd():
        for start in range(0, len(split) - size + 1, size):
            part = slice(start, start + size)
            random = {name: value[0] for name, value in batches.random(size).items()}
            losses.append(loss(values, random, split.pixels(part), batches.targets(split.labels[part]), eps)[0])
    return float(torch.stack(losses).mean())


def _of_each(function: Callable[..., Tensor], parameters: Params, *arguments: Tensor) -> Tensor:
    """``function(parameters, *arguments)`` of each replica, (R, ...)."""
    if len(next(iter(parameters.values()))) == 1:  # without the cost of vmap
        with by_autograd():
            return function({name: value[0] for name, value in parameters.items()}, *arguments)[None]
    result: Tensor = vmap(function, in_dims=(0, *[None] * len(arguments)))(parameters, *arguments)
    return result

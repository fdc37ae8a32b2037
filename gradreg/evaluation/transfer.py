"""Whether the perturbations of one network fool another, and how alike they are."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gradreg.attacks.calls import batched
from gradreg.attacks.steepest import frank_wolfe
from gradreg.data.splits import Split
from gradreg.evaluation.measure import wrong
from gradreg.planning.specs import TransferSpec


@dataclass(frozen=True)
class Member:
    """A network among others, with its names: model, objective, p, eps, training images, seed."""

    names: Mapping[str, Any]
    network: nn.Module


def transfer(
    members: Sequence[Member], sources: Sequence[int], split: Split, settings: TransferSpec
) -> list[dict[str, Any]]:
    """Errors of all members on the perturbed images of the sources, indices into members.

    The perturbations are those of ``frank_wolfe`` without a stop, of full length: one that stops at the first error of
    its own network hardly reaches another's. Rows have, with the names of both networks (source_..., target_...),
    attack_p, attack_eps, metric, value, n: ``error``, the target's error on the source's perturbed images;
    ``clean_error``, on unperturbed images; ``cosine``, the mean cosine between the source's perturbation of an image
    and the target's own.
    """
    images = split.first(settings.images)
    x, y = images.pixels(), images.labels
    rows = []
    for p, eps in settings.eps.items():
        way = functools.partial(frank_wolfe, p=p.value, eps=eps.value, steps=settings.steps, stop=False)
        moved = [batched(functools.partial(way, member.network), x, y, settings.batch_size) for member in members]
        for target, by_target in zip(members, moved, strict=True):
            clean = _error(target.network, x, y)
            for source in sources:
                names = {f"source_{key}": value for key, value in members[source].names.items()}
                names |= {f"target_{key}": value for key, value in target.names.items()}
                values = {
                    "error": _error(target.network, moved[source], y),
                    "clean_error": clean,
                    "cosine": _cosine(moved[source] - x, by_target - x),
                }
                at = {"attack_p": p, "attack_eps": eps}
                rows += [names | at | {"metric": key, "value": value, "n": len(x)} for key, value in values.items()]
    return rows


def _error(network: nn.Module, x: Tensor, y: Tensor) -> float:
    return wrong(network, x, y).double().mean().item()


def _cosine(a: Tensor, b: Tensor) -> float:
    """The mean over samples; one that does not move counts as 0."""
    return torch.nn.functional.cosine_similarity(a.flatten(1).double(), b.flatten(1).double(), eps=1e-30).mean().item()

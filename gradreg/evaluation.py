"""What a trained network does on a split, as tidy rows: one per attack, strength and metric."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradreg import attacks, registry
from gradreg.data.arrays import Split
from gradreg.labels import parse
from gradreg.norms import norm

BATCH = 500
GRADIENT_NORMS = ("1", "2", "inf")
Row = dict[str, Any]


def evaluate(network: nn.Module, split: Split, attack: Mapping[str, Any]) -> list[Row]:
    """All measurements of one network.

    attack: ``images`` (the first so many of the split are attacked), ``steps`` of the multi-step attack, the grid
    ``eps``, p -> labels, and ``others``, further attacks by name: their registered kind and settings. Rows have the
    columns attack, attack_p, attack_eps, metric, value, n:

    - attack ``none``: ``error``, ``confidence`` (mean largest probability) and ``loss`` on the whole split;
      ``gradient_norm_q``, the mean q-norm of the input gradient of the loss, on the attacked images;
    - attacks ``one_step``, ``multi_step`` and each other one: ``error``, and ``confidence`` in the answer, on the
      attacked images.
    """
    attacks.check_attackable(network, split.pixels(slice(0, 1)))
    rows = _clean(network, split)
    images = split.first(min(attack["images"], len(split)))
    x, y = images.pixels(), images.labels
    gradients = _batched(lambda a, b: attacks.loss_gradient(network, a, b), x, y)
    for q in GRADIENT_NORMS:
        rows.append(_row("none", "", "", f"gradient_norm_{q}", norm(gradients, parse(q)).mean().item(), len(x)))
    for p, grid in attack["eps"].items():
        for eps in grid:
            for name, perturbed in perturbations(network, x, y, parse(p), parse(eps), attack).items():
                probability, answer = answers(network, perturbed)
                error = (answer != y).double().mean().item()
                rows.append(_row(name, p, eps, "error", error, len(x)))
                rows.append(_row(name, p, eps, "confidence", probability.double().mean().item(), len(x)))
    return rows


def perturbations(
    network: nn.Module, x: Tensor, y: Tensor, p: float, eps: float, attack: Mapping[str, Any]
) -> dict[str, Tensor]:
    """The inputs x (N, ...) perturbed by the family's attacks of p-norm eps, and by the others of ``attack``."""
    kinds = {"one_step": {"kind": "one_step"}, "multi_step": {"kind": "multi_step", "steps": attack["steps"]}}
    found = {}
    for name, own in {**kinds, **attack.get("others", {})}.items():
        function = registry.function("attacks", own["kind"])
        settings = {key: value for key, value in own.items() if key != "kind"}
        found[name] = _batched(functools.partial(function, network, p=p, eps=eps, **settings), x, y)
    return found


@torch.no_grad()
def answers(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """The largest probability and its class for each input, (N,) each."""
    logits = torch.cat([network(part) for part in x.split(BATCH)])
    best = logits.softmax(1).max(1)
    return best.values, best.indices


def gallery(
    network: nn.Module, split: Split, classes: Sequence[int], eps: Mapping[str, str], steps: int
) -> dict[str, Tensor]:
    """A typical image of each class, the one nearest to the mean of its class, under the multi-step attack of each p.

    Returns arrays ``x`` (N, C, H, W), ``y``, ``answer`` and ``confidence`` (N,) for the images as they are and,
    for each p, ``x_p``, ``answer_p`` and ``confidence_p``.
    """
    index = torch.stack([_typical(split, label) for label in classes])
    x, y = split.pixels(index), split.labels[index]
    confidence, answer = answers(network, x)
    arrays = {"x": x, "y": y, "answer": answer, "confidence": confidence}
    for p, label in eps.items():
        perturbed = attacks.multi_step(network, x, y, parse(p), parse(label), steps)
        confidence, answer = answers(network, perturbed)
        arrays |= {f"x_{p}": perturbed, f"answer_{p}": answer, f"confidence_{p}": confidence}
    return arrays


def _typical(split: Split, label: int) -> Tensor:
    own = (split.labels == label).nonzero().squeeze(1)
    x = split.pixels(own).flatten(1)
    return own[(x - x.mean(0)).norm(dim=1).argmin()]


@torch.no_grad()
def _clean(network: nn.Module, split: Split) -> list[Row]:
    totals = {"error": 0.0, "confidence": 0.0, "loss": 0.0}
    for start in range(0, len(split), BATCH):
        part = slice(start, start + BATCH)
        logits, labels = network(split.pixels(part)), split.labels[part]
        totals["error"] += (logits.argmax(1) != labels).sum().item()
        totals["confidence"] += logits.softmax(1).amax(1).double().sum().item()
        totals["loss"] += F.cross_entropy(logits, labels, reduction="sum").item()
    return [_row("none", "", "", metric, total / len(split), len(split)) for metric, total in totals.items()]


def _batched(attack: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    return torch.cat([attack(a, b) for a, b in zip(x.split(BATCH), y.split(BATCH), strict=True)])


def _row(attack: str, p: str, eps: str, metric: str, value: float, n: int) -> Row:
    # A network without finite logits has no meaningful loss or gradient; the row stays, its value empty.
    shown = value if math.isfinite(value) else None
    return {"attack": attack, "attack_p": p, "attack_eps": eps, "metric": metric, "value": shown, "n": n}

"""What a trained network does on a split, as tidy rows: one per attack, strength and metric."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradreg import registry
from gradreg.attacks import steepest as attacks
from gradreg.data.splits import Split
from gradreg.evaluation import local_estimates as estimates
from gradreg.norms import dual_exponent, norm, steepest_step
from gradreg.planning.numerals import middle, outcome, parse

BATCH = 500  # images of a forward pass
CHECKED = 200  # images on which the attack itself is checked
NOISE_SEED = 0
GRADIENT_NORMS = ("1", "2", "inf")
Row = dict[str, Any]
Outcomes = dict[str, Tensor]


class Measurement:
    """The rows of one network, and for every attack which images it answered wrongly (``labels.outcome``)."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.outcomes: Outcomes = {}

    def add(self, attack: str, p: str, eps: str, n: int, **values: float) -> None:
        """A row per metric; a value that is not finite is left empty, since it means nothing."""
        for metric, value in values.items():
            shown = value if math.isfinite(value) else None
            self.rows.append(
                {"attack": attack, "attack_p": p, "attack_eps": eps, "metric": metric, "value": shown, "n": n}
            )

    def add_outcome(self, attack: str, p: str, eps: str, wrong: Tensor, **values: float) -> None:
        """The rows ``error`` and others for images that were answered wrongly (True) or not, and the outcome."""
        self.add(attack, p, eps, len(wrong), error=wrong.double().mean().item(), **values)
        self.outcomes[outcome(attack, p, eps)] = wrong.cpu()


def evaluate(network: nn.Module, split: Split, attack: Mapping[str, Any]) -> Measurement:
    """All measurements that every network gets.

    attack: ``images`` (the first so many of the split are attacked), ``steps`` of the multi-step attack,
    ``batch_size``, the grid ``eps``, p -> labels, ``noise``, kind -> labels, ``others``, further attacks by name: their
    registered kind and settings, and ``smooth``, whether the network is, so that its curvature means something. Rows
    have the columns attack, attack_p, attack_eps, metric, value, n:

    - attack ``none``: ``error``, ``confidence`` (mean largest probability) and ``loss`` on the whole split; on the
      attacked images ``gradient_norm_q``, the mean q-norm of the input gradient of the loss, ``zero_gradient``, the
      share of images where the attacks' direction vanishes, and ``alignment`` (``estimates.alignment``);
    - ``gaussian``, ``uniform``: ``error`` on the whole split under noise of that size;
    - ``steepest``: ``rise``, the mean of L(x + s) - L(x) for the steepest step s of training, and ``predicted_rise``,
      that of eps * norm(dL/dx, q);
    - ``one_step``, ``multi_step`` and each other one: ``error``, and ``confidence`` in the answer, on the attacked
      images, of which those that are misclassified as they are count as errors and are not attacked;
    - ``multi_step``, on the first CHECKED of them, for ``signs``: ``error_of_one_step`` and ``error_of_last_step`` (of
      many steps without a stop) at the middle eps, and ``error_in_box``, with no bound but the box;
    - for smooth networks ``gradient_estimate`` and, in the 2-norm, ``curvature_estimate``: ``estimated_error``, the
      share of images whose distance to an error is estimated to be at most eps (``estimates``).
    """
    attacks.check_attackable(network, split.pixels(slice(0, 1)))
    found = Measurement()
    _as_they_are(found, network, split)
    images = split.first(min(attack["images"], len(split)))
    x, y = images.pixels(), images.labels
    in_batches = functools.partial(batched, size=attack["batch_size"])
    gradients = in_batches(lambda a, b: attacks.loss_gradient(network, a, b), x, y)
    norms = {f"gradient_norm_{q}": norm(gradients, parse(q)).mean().item() for q in GRADIENT_NORMS}
    _noise(found, network, split, attack["noise"])
    alignment = in_batches(lambda a, b: estimates.alignment(network, a), x, y).mean().item()
    zero = _zero_gradient(network, x, y, attack["batch_size"])
    found.add("none", "", "", len(x), **norms, zero_gradient=zero, alignment=alignment)
    _linearisation(found, network, x, y, gradients, attack)
    right = ~wrong(network, x, y)
    for p, grid in attack["eps"].items():
        for eps in grid:
            for name, perturbed in perturbations(network, x, y, right, parse(p), parse(eps), attack).items():
                probability, answer = answers(network, perturbed)
                found.add_outcome(name, p, eps, answer != y, confidence=probability.double().mean().item())
        _check(found, network, x[:CHECKED], y[:CHECKED], "multi_step", p, middle(grid), attack)
    if attack["smooth"]:
        for (name, p), distance in estimates.distances(network, x, y, attack["eps"], in_batches).items():
            for eps in attack["eps"][p]:
                share = (distance <= parse(eps)).double().mean().item()
                found.add(name, p, eps, len(x), estimated_error=share)
    return found


def strong(network: nn.Module, split: Split, settings: Mapping[str, Any], name: str) -> Measurement:
    """The measurements of one strong attack.

    settings: ``attacks``, registered kinds, one after another, each on the images that stood those before; ``images``,
    the first of the split; ``batch_size``; ``steps``; the grid ``eps``, p -> labels. Rows, all under the attack's
    ``name``: ``error``; ``error_after_kind`` for each of the kinds; ``error_of_multi_step``, that of the usual attack
    of so many steps, on the same images, for comparison; and what ``signs`` is read from, as in ``evaluate``. A
    minimum-norm attack is run once per p for the whole grid, and has the row ``distance``, the median distance of the
    errors it found (infinite where it found none).
    """
    images = split.first(settings["images"])
    x, y = images.pixels(), images.labels
    attacks.check_attackable(network, x[:1])
    found = Measurement()
    clean = wrong(network, x, y)
    found.add(name, "", "", len(x), zero_gradient=_zero_gradient(network, x, y, settings["batch_size"]))
    for p, grid in settings["eps"].items():
        if registry.lookup("attacks", settings["attacks"][0]).get("minimum"):
            _nearest(found, network, x, y, p, settings, name)
            continue
        for eps in grid:
            fooled, after = _one_after_another(network, x, y, clean, p, eps, settings)
            usual = functools.partial(attacks.multi_step, network, p=parse(p), eps=parse(eps), steps=settings["steps"])
            by_usual = wrong(network, batched(usual, x, y, settings["batch_size"]), y)
            found.add_outcome(name, p, eps, fooled, **after, error_of_multi_step=by_usual.double().mean().item())
        _check(found, network, x[:CHECKED], y[:CHECKED], name, p, middle(grid), settings)
    return found


def _one_after_another(
    network: nn.Module, x: Tensor, y: Tensor, clean: Tensor, p: str, eps: str, settings: Mapping[str, Any]
) -> tuple[Tensor, dict[str, float]]:
    """Which images any of the attacks leads astray, those of ``clean`` from the start, and the error after each."""
    fooled, after = clean.clone(), {}
    for kind in settings["attacks"]:
        rest = (~fooled).nonzero().squeeze(1)
        attack = functools.partial(registry.function("attacks", kind), network, p=parse(p), eps=parse(eps))
        if len(rest):
            fooled[rest] = wrong(network, batched(attack, x[rest], y[rest], settings["batch_size"]), y[rest])
        after[f"error_after_{kind}"] = fooled.double().mean().item()
    return fooled, after


def _nearest(
    found: Measurement, network: nn.Module, x: Tensor, y: Tensor, p: str, settings: Mapping[str, Any], name: str
) -> None:
    attack = functools.partial(registry.function("attacks", settings["attacks"][0]), network, p=parse(p))
    moved = batched(attack, x, y, settings["batch_size"])
    distance = norm((moved - x).double(), parse(p))
    distance[~wrong(network, moved, y)] = math.inf
    for eps in settings["eps"][p]:
        found.add_outcome(name, p, eps, distance <= parse(eps))
    found.add(name, p, "", len(x), distance=distance.median().item())


def perturbations(
    network: nn.Module, x: Tensor, y: Tensor, right: Tensor, p: float, eps: float, attack: Mapping[str, Any]
) -> dict[str, Tensor]:
    """The inputs x (N, ...) perturbed by the family's attacks of p-norm eps, and by the others of ``attack``.

    What is not ``right`` (N,) stays as it is.
    """
    kinds = {"one_step": {"kind": "one_step"}, "multi_step": {"kind": "multi_step", "steps": attack["steps"]}}
    found = {}
    for name, own in {**kinds, **attack["others"]}.items():
        function = registry.function("attacks", own["kind"])
        settings = {key: value for key, value in own.items() if key != "kind"}
        found[name] = x.clone()
        if right.any():
            step = functools.partial(function, network, p=p, eps=eps, **settings)
            found[name][right] = batched(step, x[right], y[right], attack["batch_size"])
    return found


@torch.no_grad()
def answers(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """The largest probability and its class for each input, (N,) each."""
    logits = torch.cat([network(part) for part in x.split(BATCH)])
    best = logits.softmax(1).max(1)
    return best.values, best.indices


def wrong(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Which inputs are answered with another class than y, (N,)."""
    return answers(network, x)[1] != y


@torch.no_grad()
def _as_they_are(found: Measurement, network: nn.Module, split: Split) -> None:
    """Error, confidence and loss on the images as they are."""
    missed, confidence, loss = [], 0.0, 0.0
    for start in range(0, len(split), BATCH):
        part = slice(start, start + BATCH)
        logits, labels = network(split.pixels(part)), split.labels[part]
        missed.append(logits.argmax(1) != labels)
        confidence += logits.softmax(1).amax(1).double().sum().item()
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
    n = len(split)
    found.add_outcome("none", "", "", torch.cat(missed), confidence=confidence / n, loss=loss / n)


@torch.no_grad()
def _noise(found: Measurement, network: nn.Module, split: Split, noise: Mapping[str, Sequence[str]]) -> None:
    """Errors under each kind and level of noise: one draw per image, for all networks alike."""
    for kind, levels in noise.items():
        for level in levels:
            generator, count = torch.Generator(split.labels.device).manual_seed(NOISE_SEED), 0
            for start in range(0, len(split), BATCH):
                part = slice(start, start + BATCH)
                moved = attacks.noisy(split.pixels(part), kind, parse(level), generator)
                count += int((network(moved).argmax(1) != split.labels[part]).sum())
            found.add(kind, "", level, len(split), error=count / len(split))


def _linearisation(
    found: Measurement, network: nn.Module, x: Tensor, y: Tensor, gradients: Tensor, attack: Mapping[str, Any]
) -> None:
    """How far the loss rises along the steepest step, and what its gradient says of that."""
    before = _losses(network, x, y)
    for p, grid in attack["eps"].items():
        lengths = norm(gradients, dual_exponent(parse(p)))
        for eps in grid:
            after = _losses(network, x + steepest_step(gradients, parse(p), parse(eps)), y)
            rises = {"rise": (after - before).mean().item(), "predicted_rise": parse(eps) * lengths.mean().item()}
            found.add("steepest", p, eps, len(x), **rises)


@torch.no_grad()
def _losses(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    parts = zip(x.split(BATCH), y.split(BATCH), strict=True)
    return torch.cat([F.cross_entropy(network(a), b, reduction="none") for a, b in parts]).double()


def _zero_gradient(network: nn.Module, x: Tensor, y: Tensor, size: int) -> float:
    """The share of images at which the direction of the family's attacks vanishes."""
    direction = batched(lambda a, b: attacks.ascent_direction(network, a, b), x, y, size)
    return (direction.flatten(1) == 0).all(1).double().mean().item()


def _check(
    found: Measurement, network: nn.Module, x: Tensor, y: Tensor, name: str, p: str, eps: str, attack: Mapping[str, Any]
) -> None:
    """What shows whether an attack along gradients works on a network, in rows of the attack ``name``."""

    def error(way: Callable[..., Tensor], length: float, **settings: Any) -> float:
        step = functools.partial(way, network, p=parse(p), eps=length, **settings)
        return wrong(network, batched(step, x, y, attack["batch_size"]), y).double().mean().item()

    one = error(attacks.one_step, parse(eps))
    last = error(attacks.frank_wolfe, parse(eps), steps=attack["steps"], stop=False)
    found.add(name, p, eps, len(x), error_of_one_step=one, error_of_last_step=last)
    diagonal = x[0].numel() ** (1 / parse(p))
    far = error(attacks.frank_wolfe, diagonal, steps=attack["steps"], stop=True)
    found.add(name, p, "", len(x), error_in_box=far)


def batched(function: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, size: int) -> Tensor:
    """What a function makes of inputs and labels, called on batches of so many."""
    return torch.cat([function(a, b) for a, b in zip(x.split(size), y.split(size), strict=True)])

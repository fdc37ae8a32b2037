"""What a trained network does on a split, as tidy rows: one per attack, strength and metric."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradreg import registry
from gradreg.attacks import checks, gradients, steepest
from gradreg.attacks.calls import batched, perturbed
from gradreg.attacks.noise import noisy
from gradreg.data.splits import Split
from gradreg.evaluation import local_estimates
from gradreg.norms import dual_exponent, norm, steepest_step
from gradreg.planning.attacked import union
from gradreg.planning.numerals import Numeral, members, middle
from gradreg.planning.specs import AttackSpec, Grid, StrongAttackSpec
from gradreg.storage.metrics import outcome

BATCH = 500  # images of a forward pass
CHECKED = 200  # images on which the attack itself is checked
NOISE_SEED = 0
GRADIENT_NORMS = (1.0, 2.0, math.inf)
Row = dict[str, Any]
Outcomes = dict[str, Tensor]


class Measurement:
    """The rows of one network, and for every attack which images it misclassified (``metrics.outcome``)."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.outcomes: Outcomes = {}
        self.by_multi_step: Outcomes = {}  # on the images of a strong attack

    def add(self, attack: str, p: str, eps: str, n: int, **values: float) -> None:
        """A row per metric; a value that is not finite is left empty, since it means nothing."""
        for metric, value in values.items():
            shown = value if math.isfinite(value) else None
            self.rows.append(
                {"attack": attack, "attack_p": p, "attack_eps": eps, "metric": metric, "value": shown, "n": n}
            )

    def add_outcome(self, attack: str, p: str, eps: str, wrong: Tensor, **values: float) -> None:
        """The rows ``error`` and others for images that are misclassified (True) or not, and the outcome."""
        self.add(attack, p, eps, len(wrong), error=wrong.double().mean().item(), **values)
        self.outcomes[outcome(attack, p, eps)] = wrong.cpu()

    def add_union(self, attack: str, grid: Grid) -> None:
        """The rows of an attack in the union of its norms (``attacked.union``): images that it fools in any of them."""
        for norms, strengths in union(grid).items():
            for lengths in strengths:
                keys = [outcome(attack, p, eps) for p, eps in zip(members(norms), members(lengths), strict=True)]
                values = {}
                if keys[0] in self.by_multi_step:
                    values["error_of_multi_step"] = _any(self.by_multi_step, keys).double().mean().item()
                self.add_outcome(attack, norms, lengths, _any(self.outcomes, keys), **values)


def _any(outcomes: Outcomes, keys: Sequence[str]) -> Tensor:
    """Which images are misclassified in any of some outcomes."""
    return torch.stack([outcomes[key] for key in keys]).any(0)


def evaluate(network: nn.Module, split: Split, attack: AttackSpec) -> Measurement:
    """All measurements that every network gets, with the columns attack, attack_p, attack_eps, metric, value, n.

    - attack ``none``: ``error``, ``confidence`` (mean largest probability) and ``loss`` on the whole split; on the
      attacked images ``gradient_norm_q``, the mean q-norm of the input gradient of the loss, ``alignment`` and, for
      ``masking``, ``zero_gradient``, the share of images where the attacks' direction vanishes, and ``explained``, on
      the first CHECKED of them (``local_estimates``);
    - each kind of noise (``noise.KINDS``): ``error`` on the whole split under noise of that size;
    - ``steepest``: ``rise``, the mean of L(x + s) - L(x) for the steepest step s of training, and ``predicted_rise``,
      that of eps * norm(dL/dx, q);
    - ``one_step``, ``multi_step`` and each other one: ``error``, and ``confidence`` in the answer, on the attacked
      images; those that are misclassified without an attack count as errors and are not attacked; and ``error`` in the
      union of the norms (``Measurement.add_union``);
    - ``multi_step``, on the first CHECKED of them, for ``masking``: ``error_of_one_step``, ``error_of_last_step`` (of
      many steps without a stop) at the middle eps, and ``error_in_box``, with no bound but the box;
    - for smooth networks ``gradient_estimate`` and, in the 2-norm, ``curvature_estimate``: ``estimated_error``, the
      share of images whose distance to an error is estimated to be at most eps (``local_estimates``).
    """
    checks.check_attackable(network, split.pixels(slice(0, 1)))
    measured = Measurement()
    _clean(measured, network, split)
    images = split.first(min(attack.images, len(split)))
    x, y = images.pixels(), images.labels
    slopes = batched(functools.partial(gradients.loss_gradient, network), x, y, attack.batch_size)
    _noise(measured, network, split, attack.noise)
    norms = {f"gradient_norm_{q:g}": norm(slopes, q).mean().item() for q in GRADIENT_NORMS}
    alignment = batched(lambda a, b: local_estimates.alignment(network, a), x, y, attack.batch_size).mean().item()
    measured.add("none", "", "", len(x), **norms, alignment=alignment)
    _gradients(measured, network, x, y, "none", attack)
    _linearisation(measured, network, x, y, slopes, attack.eps)
    _attacked(measured, network, x, y, attack)
    if attack.smooth:
        _estimates(measured, network, x, y, attack)
    return measured


def strong(network: nn.Module, split: Split, attack: StrongAttackSpec, name: str) -> Measurement:
    """The measurements of one strong attack, all under its ``name``.

    Rows: ``error``, in each norm and in their union; ``error_after_kind`` for each of its kinds;
    ``error_of_multi_step``, that of the multi-step attack on the same images, for comparison; and the checks that
    ``masking`` reads, as in ``evaluate``. A minimum-norm attack is run once per p for the whole grid, and has the row
    ``distance``, the median over all images of the distance to their error, infinite where it found none.
    """
    images = split.first(attack.images)
    x, y = images.pixels(), images.labels
    checks.check_attackable(network, x[:1])
    measured = Measurement()
    clean = wrong(network, x, y)
    _gradients(measured, network, x, y, name, attack)
    for p, grid in attack.eps.items():
        if registry.lookup("attacks", attack.attacks[0]).get("minimum"):
            _nearest(measured, network, x, y, p, attack, name)
            continue
        for eps in grid:
            fooled, after = _one_after_another(network, x, y, clean, p, eps, attack)
            usual = functools.partial(steepest.multi_step, network, p=p.value, eps=eps.value, steps=attack.steps)
            by_usual = wrong(network, batched(usual, x, y, attack.batch_size), y)
            measured.add_outcome(name, p, eps, fooled, **after, error_of_multi_step=by_usual.double().mean().item())
            measured.by_multi_step[outcome(name, p, eps)] = by_usual.cpu()
        _check(measured, network, x[:CHECKED], y[:CHECKED], name, p, middle(grid), attack)
    measured.add_union(name, attack.eps)
    return measured


def _one_after_another(
    network: nn.Module, x: Tensor, y: Tensor, clean: Tensor, p: Numeral, eps: Numeral, attack: StrongAttackSpec
) -> tuple[Tensor, dict[str, float]]:
    """Which images any of the attacks leads astray, those of ``clean`` from the start, and the error after each."""
    fooled, after = clean.clone(), {}
    for kind in attack.attacks:
        rest = (~fooled).nonzero().squeeze(1)
        if len(rest):
            moved = perturbed({"kind": kind}, network, x[rest], y[rest], p.value, eps.value, attack.batch_size)
            fooled[rest] = wrong(network, moved, y[rest])
        after[f"error_after_{kind}"] = fooled.double().mean().item()
    return fooled, after


def _nearest(
    measured: Measurement, network: nn.Module, x: Tensor, y: Tensor, p: Numeral, attack: StrongAttackSpec, name: str
) -> None:
    """The measurements of a minimum-norm attack in one norm."""
    way = functools.partial(registry.function("attacks", attack.attacks[0]), network, p=p.value)
    moved = checks.check_perturbed(attack.attacks[0], x, batched(way, x, y, attack.batch_size), p.value)
    distance = norm((moved - x).double(), p.value)
    distance[~wrong(network, moved, y)] = math.inf
    for eps in attack.eps[p]:
        measured.add_outcome(name, p, eps, distance <= eps.value)
    measured.add(name, p, "", len(x), distance=distance.median().item())


def perturbations(
    network: nn.Module, x: Tensor, y: Tensor, right: Tensor, p: float, eps: float, attack: AttackSpec
) -> dict[str, Tensor]:
    """The inputs x (N, ...) perturbed by the family's attacks of p-norm eps, and by the others of ``attack``.

    What is not ``right`` (N,) stays as it is.
    """
    moved = {}
    for name, block in attack.blocks.items():
        moved[name] = x.clone()
        if right.any():
            moved[name][right] = perturbed(block, network, x[right], y[right], p, eps, attack.batch_size)
    return moved


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
def _clean(measured: Measurement, network: nn.Module, split: Split) -> None:
    """Error, confidence and loss on unperturbed images."""
    missed, confidence, loss = [], 0.0, 0.0
    for start in range(0, len(split), BATCH):
        part = slice(start, start + BATCH)
        logits, labels = network(split.pixels(part)), split.labels[part]
        missed.append(logits.argmax(1) != labels)
        confidence += logits.softmax(1).amax(1).double().sum().item()
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
    n = len(split)
    measured.add_outcome("none", "", "", torch.cat(missed), confidence=confidence / n, loss=loss / n)


@torch.no_grad()
def _noise(measured: Measurement, network: nn.Module, split: Split, noise: Mapping[str, Sequence[Numeral]]) -> None:
    """Errors under each kind and level of noise: one draw per image, for all networks alike."""
    for kind, levels in noise.items():
        for level in levels:
            generator, count = torch.Generator(split.labels.device).manual_seed(NOISE_SEED), 0
            for start in range(0, len(split), BATCH):
                part = slice(start, start + BATCH)
                moved = noisy(split.pixels(part), kind, level.value, generator)
                count += int((network(moved).argmax(1) != split.labels[part]).sum())
            measured.add(kind, "", level, len(split), error=count / len(split))


def _linearisation(measured: Measurement, network: nn.Module, x: Tensor, y: Tensor, slopes: Tensor, grid: Grid) -> None:
    """How far the loss rises along the steepest step, and the rise that its gradient predicts."""
    before = _losses(network, x, y)
    for p, strengths in grid.items():
        lengths = norm(slopes, dual_exponent(p.value))
        for eps in strengths:
            after = _losses(network, x + steepest_step(slopes, p.value, eps.value), y)
            rises = {"rise": (after - before).mean().item(), "predicted_rise": eps.value * lengths.mean().item()}
            measured.add("steepest", p, eps, len(x), **rises)


def _attacked(measured: Measurement, network: nn.Module, x: Tensor, y: Tensor, attack: AttackSpec) -> None:
    """Errors and confidence under the family's attacks and the others, and the checks of the multi-step attack."""
    right = ~wrong(network, x, y)
    for p, grid in attack.eps.items():
        for eps in grid:
            for name, moved in perturbations(network, x, y, right, p.value, eps.value, attack).items():
                probability, answer = answers(network, moved)
                measured.add_outcome(name, p, eps, answer != y, confidence=probability.double().mean().item())
        _check(measured, network, x[:CHECKED], y[:CHECKED], "multi_step", p, middle(grid), attack)
    for name in ("one_step", "multi_step", *attack.others):
        measured.add_union(name, attack.eps)


def _estimates(measured: Measurement, network: nn.Module, x: Tensor, y: Tensor, attack: AttackSpec) -> None:
    """The shares of images whose distance to an error is estimated to be at most eps."""
    in_batches = functools.partial(batched, size=attack.batch_size)
    distances = local_estimates.distances(network, x, y, [p.value for p in attack.eps], in_batches)
    for p, grid in attack.eps.items():
        for name, distance in distances[p.value].items():
            for eps in grid:
                share = (distance <= eps.value).double().mean().item()
                measured.add(name, p, eps, len(x), estimated_error=share)


@torch.no_grad()
def _losses(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    parts = zip(x.split(BATCH), y.split(BATCH), strict=True)
    return torch.cat([F.cross_entropy(network(a), b, reduction="none") for a, b in parts]).double()


def _gradients(
    measured: Measurement, network: nn.Module, x: Tensor, y: Tensor, name: str, attack: AttackSpec | StrongAttackSpec
) -> None:
    """Rows of the attack ``name`` that show whether there are gradients, of all pixels, for attacks to follow."""
    in_batches = functools.partial(batched, size=attack.batch_size)
    direction = in_batches(functools.partial(gradients.ascent_direction, network), x, y)
    flat = direction.flatten(1)
    none = (flat == 0).all(1) | ~flat.isfinite().all(1)  # not a number is no direction either
    measured.add(name, "", "", len(x), zero_gradient=none.double().mean().item())
    few = x[:CHECKED], y[:CHECKED]
    measured.add(name, "", "", len(few[0]), explained=local_estimates.explained(network, *few, in_batches))


def _check(
    measured: Measurement,
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    name: str,
    p: Numeral,
    eps: Numeral,
    attack: AttackSpec | StrongAttackSpec,
) -> None:
    """Rows of the attack ``name`` that show whether an attack along gradients works on a network."""

    def error(way: Callable[..., Tensor], length: float, **settings: Any) -> float:
        step = functools.partial(way, network, p=p.value, eps=length, **settings)
        return wrong(network, batched(step, x, y, attack.batch_size), y).double().mean().item()

    one = error(steepest.one_step, eps.value)
    last = error(steepest.frank_wolfe, eps.value, steps=attack.steps, stop=False)
    measured.add(name, p, eps, len(x), error_of_one_step=one, error_of_last_step=last)
    diagonal = x[0].numel() ** (1 / p.value)
    far = error(steepest.frank_wolfe, diagonal, steps=attack.steps, stop=True)
    measured.add(name, p, "", len(x), error_in_box=far)

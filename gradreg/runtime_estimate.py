"""How long an experiment will take: each kind of step is timed on random images, and then counted."""

import itertools
import math
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from gradreg import registry
from gradreg.attacks.gradients import loss_gradient
from gradreg.data.splits import Split
from gradreg.device import CPU
from gradreg.evaluation.measure import answers, evaluate
from gradreg.models import given, preprocessing
from gradreg.models.checkpoint import build
from gradreg.planning.hooks import Work
from gradreg.planning.numerals import Numeral
from gradreg.planning.specs import to_json
from gradreg.registry.datasets import DATASETS
from gradreg.training.block import train_block
from gradreg.training.schedules import batches

STEPS, REPEATS = 5, 3
LONG = 0.5  # seconds of a step that is timed once only
GRADIENTS = 100  # of an attack whose registration does not say how many it takes
READ, ATTACKED, FEW = 200, 20, 2  # images; few where reading one takes long


@dataclass
class Seconds:
    """Seconds of one core."""

    training: float = 0.0
    evaluation: float = 0.0


def estimate(work: Iterable[Work], device: torch.device = CPU) -> Seconds:
    """The time that training and evaluation will take, one network after another, from a few steps of each kind.

    It is the most they take: attacks count as if every image withstood all their steps, and recipes that stop on
    validation as if they never did.
    """
    steps: dict[str, float] = {}
    readings: dict[str, tuple[float, float, float]] = {}
    total = Seconds()
    for item in work:
        training, attack = item.training, item.attack
        network = f"{item.dataset} {to_json(training.model)}"
        batch, steps_of_epoch = batches(training.n_train, training.recipe)
        kind = f"{network} {to_json(replace(training.objective, eps=0.0))} {batch}"  # a step costs the same at any eps
        reading = f"{network} {training.file} {to_json(attack)}"
        if kind not in steps and training.file is None:
            steps[kind] = _step(item, batch, device)
        if reading not in readings:
            readings[reading] = _reading(item, device)
        per_image, per_attacked, per_gradient = readings[reading]
        watched = training.n_validation or training.n_stop or 0
        epoch = steps_of_epoch * steps.get(kind, 0) + watched * per_image
        if watch := training.watch:
            several = watch.attack["kind"] == "multi_step"
            gradients = attack.steps if several else _gradients(watch.attack["kind"])
            epoch += min(watch.images, watched) * len(watch.eps) * gradients * per_gradient
        phases = 2 if training.recipe.retrain != "none" and training.n_stop else 1
        total.training += item.train * phases * training.recipe.epochs * epoch
        attacked = min(attack.images, item.n_evaluated)
        total.evaluation += item.evaluate * (item.n_evaluated * per_image + attacked * per_attacked)
        for strong, count in item.strong.values():
            gradients = sum(_gradients(kind) for kind in strong.attacks)
            total.evaluation += count * strong.images * len(strong.eps) * gradients * per_gradient
    return total


def _gradients(attack: str) -> int:
    """How many gradients an image costs, at the settings that the attack has by default."""
    return int(registry.lookup("attacks", attack).get("gradients", GRADIENTS))


def _step(item: Work, batch: int, device: torch.device) -> float:
    """Seconds of one training step of one replica."""
    (first,) = _epochs(item, batch, device, steps=1, repeats=1)
    if first > LONG:
        return first
    return statistics.median(_epochs(item, batch, device, STEPS, REPEATS)) / STEPS


def _epochs(item: Work, batch: int, device: torch.device, steps: int, repeats: int) -> list[float]:
    """Seconds of epochs of ``steps`` steps, after a first one that warms up."""
    marks: list[float] = []
    spec = item.training.with_recipe(epochs=1 + repeats, min_steps=steps, patience=None, retrain="none")

    def on_epoch(epoch: int, rows: object) -> None:
        marks.append(time.perf_counter())

    train_block([0], _random(item.dataset, batch), None, spec, device, _whitening(item), on_epoch)
    return [later - earlier for earlier, later in itertools.pairwise(marks)]


def _reading(item: Work, device: torch.device) -> tuple[float, float, float]:
    """Seconds to evaluate one image, to put it under all the usual attacks, and for one input gradient."""
    dataset, model = DATASETS[item.dataset], item.training.model
    generator = torch.Generator().manual_seed(0)
    if item.training.file is None:
        network = build(model, dataset.image_shape, dataset.classes, generator)
        network = torch.nn.Sequential(preprocessing.layer(model.input, _whitening(item)), network).eval()
    else:
        network = given.network(item.training.file, model, dataset.image_shape, dataset.classes)
    network.to(device)
    split = _random(item.dataset, READ).to(device)
    answers(network, split.pixels())  # the first pass loads what later ones need
    start = time.perf_counter()
    _, answer = answers(network, split.pixels())
    answer.sum().item()  # a GPU is waited for
    per_image = (time.perf_counter() - start) / len(split)
    # Right answers and tiny perturbations: no image is given up early.
    count = READ if device.type == "cuda" else ATTACKED if per_image < LONG / 100 else FEW
    standing = Split(split.images, answer, split.top, split.classes).first(count)
    grid = {p: [Numeral("0.000001")] * len(strengths) for p, strengths in item.attack.eps.items()}
    start = time.perf_counter()
    evaluate(network, standing, replace(item.attack, eps=grid))
    per_attacked = (time.perf_counter() - start) / count
    start = time.perf_counter()
    gradient = loss_gradient(network, split.pixels(), split.labels)
    gradient.sum().item()
    return per_image, per_attacked, (time.perf_counter() - start) / len(split)


def _whitening(item: Work) -> preprocessing.Whitening | None:
    """One of the right size, for a network that has one."""
    if item.training.model.input != "whitened":
        return None
    size = math.prod(DATASETS[item.dataset].image_shape)
    return preprocessing.Whitening(torch.zeros(size), torch.eye(size))


def _random(dataset: str, n: int) -> Split:
    spec = DATASETS[dataset]
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, spec.top + 1, (n, *spec.image_shape), generator=generator, dtype=torch.uint8)
    return Split(images, torch.randint(0, spec.classes, (n,), generator=generator), spec.top, spec.classes)


def minutes(seconds: float) -> str:
    """ "7 min", "2 h 5 min"; "less than a minute" for less."""
    whole = math.ceil(seconds / 60)
    if whole <= 1:
        return "less than a minute"
    return f"{whole} min" if whole < 100 else f"{whole // 60} h {whole % 60} min"

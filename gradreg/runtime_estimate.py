"""How long an experiment will take: each kind of step is timed on random images, and then counted."""

import itertools
import math
import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from gradreg import registry
from gradreg.attacks import steepest as attacks
from gradreg.data.splits import Split
from gradreg.device import CPU
from gradreg.evaluation.measure import answers, evaluate
from gradreg.models import checkpoint
from gradreg.models import preprocessing as inputs
from gradreg.planning.numerals import numbers
from gradreg.registry.datasets import DATASETS
from gradreg.training import block as training
from gradreg.training import schedules

STEPS, REPEATS = 5, 3
LONG = 0.5  # seconds of a step that is timed once only
GRADIENTS = 100  # of an attack whose registration does not say how many it takes
READ, ATTACKED, FEW = 200, 20, 2  # images; few where reading one takes long


@dataclass(frozen=True)
class Work:
    """Networks that are alike in cost: so many of them are to be trained, so many to be measured (``evaluate``).

    strong: the plan's strong attacks; attacked: to how many networks each is to be put.

    hp and attack are as in the experiment's plan; n_read is the number of images of the split that is measured.
    """

    dataset: str
    hp: Mapping[str, Any]
    attack: Mapping[str, Any]
    n_read: int
    train: int
    evaluate: int
    strong: Mapping[str, Any] = field(default_factory=dict)
    attacked: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Seconds:
    """Seconds of one core."""

    training: float = 0.0
    evaluation: float = 0.0


def estimate(work: Iterable[Work], device: torch.device = CPU) -> Seconds:
    """The time that training and evaluation will take, one network after another, from a few steps of each kind.

    It is the most they take: attacks count as if every image stood all their steps, and recipes that stop on validation
    as if they never did.
    """
    steps: dict[str, float] = {}
    readings: dict[str, tuple[float, float, float]] = {}
    total = Seconds()
    for item in work:
        model, settings = item.hp["model"], item.hp["train"]
        objective = {key: value for key, value in item.hp["objective"].items() if key != "eps"}
        network = f"{item.dataset} {sorted(model.items())}"
        batch, steps_of_epoch = schedules.batches(item.hp["n_train"], settings)
        kind = f"{network} {sorted(objective.items(), key=str)} {batch}"
        reading = f"{network} {item.attack}"
        if kind not in steps:
            steps[kind] = _step(item, batch, device)
        if reading not in readings:
            readings[reading] = _reading(item, device)
        per_image, per_attacked, per_gradient = readings[reading]
        watched = item.hp["n_validation"] or item.hp["n_stop"] or 0
        epoch = steps_of_epoch * steps[kind] + watched * per_image
        phases = 2 if settings["retrain"] != "none" and item.hp["n_stop"] else 1
        total.training += item.train * phases * settings["epochs"] * epoch
        attacked = min(item.attack["images"], item.n_read)
        total.evaluation += item.evaluate * (item.n_read * per_image + attacked * per_attacked)
        for name, count in item.attacked.items():
            own = item.strong[name]
            gradients = sum(registry.lookup("attacks", kind).get("gradients", GRADIENTS) for kind in own["attacks"])
            total.evaluation += count * own["images"] * len(own["eps"]) * gradients * per_gradient
    return total


def _step(item: Work, batch: int, device: torch.device) -> float:
    """Seconds of one training step of one replica."""
    (first,) = _epochs(item, batch, device, steps=1, repeats=1)
    if first > LONG:
        return first
    return statistics.median(_epochs(item, batch, device, STEPS, REPEATS)) / STEPS


def _epochs(item: Work, batch: int, device: torch.device, steps: int, repeats: int) -> list[float]:
    """Seconds of epochs of so many steps, after a first one that warms up."""
    marks: list[float] = []
    recipe = {"epochs": 1 + repeats, "min_steps": steps, "patience": None, "retrain": "none"}
    hp = {
        "model": item.hp["model"],
        "objective": numbers(item.hp["objective"]),
        "train": {**item.hp["train"], **recipe},
    }
    data = _random(item.dataset, batch)

    def on_epoch(epoch: int, rows: object) -> None:
        marks.append(time.perf_counter())

    training.train_block([0], data, None, hp, device, _whitening(item), on_epoch)
    return [later - earlier for earlier, later in itertools.pairwise(marks)]


def _reading(item: Work, device: torch.device) -> tuple[float, float, float]:
    """Seconds to read one image, to put one under all the usual attacks, and for one gradient with respect to it."""
    spec, model = DATASETS[item.dataset], item.hp["model"]
    generator = torch.Generator().manual_seed(0)
    network = checkpoint.build(model, spec.image_shape, spec.classes, generator)
    network = torch.nn.Sequential(inputs.layer(model["input"], _whitening(item)), network).eval()
    network.to(device)
    split = _random(item.dataset, READ).to(device)
    answers(network, split.pixels())  # the first pass loads what later ones find
    start = time.perf_counter()
    _, answer = answers(network, split.pixels())
    answer.sum().item()  # a GPU is waited for
    per_image = (time.perf_counter() - start) / len(split)
    # Right answers and tiny perturbations: no image is given up early.
    count = READ if device.type == "cuda" else ATTACKED if per_image < LONG / 100 else FEW
    standing = Split(split.images, answer, split.top, split.classes).first(count)
    grid = {p: ["0.000001"] * len(labels) for p, labels in item.attack["eps"].items()}
    start = time.perf_counter()
    evaluate(network, standing, {**item.attack, "eps": grid})
    per_attacked = (time.perf_counter() - start) / count
    start = time.perf_counter()
    gradient = attacks.loss_gradient(network, split.pixels(), split.labels)
    gradient.sum().item()
    return per_image, per_attacked, (time.perf_counter() - start) / len(split)


def _whitening(item: Work) -> inputs.Whitening | None:
    """One of the right size, for a network that has one."""
    if item.hp["model"]["input"] != "whitened":
        return None
    size = math.prod(DATASETS[item.dataset].image_shape)
    return inputs.Whitening(torch.zeros(size), torch.eye(size))


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

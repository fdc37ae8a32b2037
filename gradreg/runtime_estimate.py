"""How long an experiment will take: each kind of step is timed on random images, and then counted."""

import math
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from gradreg import registry
from gradreg.attacks.gradients import loss_gradient
from gradreg.data.splits import Split
from gradreg.device import CPU, wait_for
from gradreg.evaluation.measure import answers, evaluate
from gradreg.models import given, preprocessing
from gradreg.models.checkpoint import build
from gradreg.planning.hooks import Work
from gradreg.planning.numerals import Numeral
from gradreg.planning.specs import to_json
from gradreg.registry.datasets import DATASETS
from gradreg.training.readings import PROBE_IMAGES
from gradreg.training.replicas import Stack
from gradreg.training.schedules import batches

STEPS = 15
LONG = 0.5  # seconds, after which a step is timed no more
GRADIENTS = 100  # of an attack whose registration does not say how many it takes
READ, SOME, FEW = 200, 20, 2  # images; few where reading one takes long
OF_A_STEP = ("optimizer", "precision", "compile", "averaging", "pad", "flip")  # settings that its cost depends on


@dataclass
class Seconds:
    """Seconds of one core. longest: of jobs that wait for each other, the least time on however many cores."""

    training: float = 0.0
    evaluation: float = 0.0
    longest: float = 0.0


def estimate(work: Iterable[Work], device: torch.device = CPU) -> Seconds:
    """The time that training and evaluation will take, one network after another, from a few steps of each kind.

    It is the most they take: attacks count as if every image withstood all their steps, and recipes that stop on
    validation as if they never did.
    """
    steps: dict[str, tuple[float, float]] = {}
    readings: dict[str, tuple[float, float, float]] = {}
    total = Seconds()
    longest = {False: 0.0, True: 0.0}  # of the jobs before choices, and of those after them
    for item in work:
        training, attack = item.training, item.attack
        network = f"{item.dataset} {to_json(training.model)}"
        batch, steps_of_epoch = batches(training.n_train, training.recipe)
        # A step costs the same at any eps and rate, and nearly so in any one norm.
        recipe = {key: value for key, value in vars(training.recipe).items() if key in OF_A_STEP}
        images = max(batch, min(PROBE_IMAGES, training.n_train))
        objective = replace(training.objective, eps=0.0)
        if isinstance(objective.p, float):
            objective = replace(objective, p=2.0)
        kind = f"{network} {to_json(objective)} {batch} {images} {to_json(recipe)}"
        reading = f"{network} {training.file} {to_json(attack)}"
        if kind not in steps and training.file is None:
            steps[kind] = _step(item, images, device)
        if reading not in readings:
            readings[reading] = _reading(item, device)
        per_image, per_attacked, per_gradient = readings[reading]
        watched = training.n_validation or training.n_stop or 0
        step, probes = steps.get(kind, (0, 0))
        epoch = steps_of_epoch * step + probes + watched * per_image
        if watch := training.watch:
            several = watch.attack["kind"] == "multi_step"
            gradients = attack.steps if several else _gradients(watch.attack["kind"])
            epoch += min(watch.images, watched) * len(watch.eps) * gradients * per_gradient
        phases = 2 if training.recipe.retrain != "none" and training.n_stop else 1
        trained = phases * training.recipe.epochs * epoch
        total.training += item.train * trained
        attacked = min(attack.images, item.n_evaluated)
        evaluated = item.n_evaluated * per_image + attacked * per_attacked
        total.evaluation += item.evaluate * evaluated
        attacks = [item.block * evaluated if item.evaluate else 0]  # jobs that wait for the training of a block
        for strong, count in item.strong.values():
            gradients = sum(_gradients(kind) for kind in strong.attacks)
            seconds = strong.images * len(strong.eps) * gradients * per_gradient
            total.evaluation += count * seconds
            attacks.append(min(item.block, count) * seconds)
        chain = (item.block * trained if item.train else 0) + max(attacks)
        longest[item.final] = max(longest[item.final], chain)
    total.longest = sum(longest.values())
    return total


def _gradients(attack: str) -> int:
    """How many gradients an image costs, at the settings that the attack has by default."""
    return int(registry.lookup("attacks", attack).get("gradients", GRADIENTS))


def _step(item: Work, n_train: int, device: torch.device) -> tuple[float, float]:
    """Seconds of one training step of one replica, and of the readings on training images after each epoch.

    n_train: training images, at least a batch and as many as are read.
    """
    spec = item.training.with_recipe(epochs=2, min_steps=0)
    stack = Stack([0], _random(item.dataset, n_train).to(device), None, spec, _whitening(item))
    stack.descend(1)  # warms up, and compiles
    times: list[float] = []
    while len(times) < STEPS and sum(times) < LONG:
        start = time.perf_counter()
        stack.descend(2)
        wait_for(device)
        times.append(time.perf_counter() - start)
    start = time.perf_counter()
    stack.run_epoch()
    steps = statistics.median(times)
    return steps / stack.batches.steps, max(time.perf_counter() - start - steps, 0)


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
    at_once = min(item.attack.images, item.attack.batch_size, item.n_evaluated)
    split = _random(item.dataset, max(READ, at_once)).to(device)
    some = split.first(READ)
    answers(network, some.pixels())  # the first pass loads what later ones need
    start = time.perf_counter()
    answers(network, some.pixels())[1].sum().item()  # a GPU is waited for
    per_image = (time.perf_counter() - start) / READ
    # Right answers and tiny perturbations: no image is given up early.
    standing = Split(split.images, answers(network, split.pixels())[1], split.top, split.classes)
    grid = {p: [Numeral("0.000001")] * len(strengths) for p, strengths in item.attack.eps.items()}
    count, seconds = 0, 0.0
    while seconds < 4 * LONG and count < at_once:  # an image costs less, the more there are, and the first call more
        count = min(at_once, 5 * count or (SOME if per_image < LONG / 100 else FEW))
        start = time.perf_counter()
        evaluate(network, standing.first(count), replace(item.attack, eps=grid))
        seconds = time.perf_counter() - start
    start = time.perf_counter()
    loss_gradient(network, some.pixels(), some.labels).sum().item()
    return per_image, seconds / count, (time.perf_counter() - start) / READ


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

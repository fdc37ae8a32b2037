"""The runtime estimate: what is counted, and that it is about right."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gradreg import runtime_estimate
from gradreg.data.splits import Split
from gradreg.planning.entries import recipe
from gradreg.planning.hooks import Work
from gradreg.planning.specs import AttackSpec, ModelSpec, ObjectiveSpec, StrongAttackSpec, TrainingSpec, grid, to_json
from gradreg.training.block import train_block
from gradreg.training.replicas import Stack

TRAINING = TrainingSpec(
    ModelSpec("sigmoid_mlp", settings={"units": [8]}),
    ObjectiveSpec("perturb", p=2.0, eps=0.1),
    recipe({"epochs": 4, "batch_size": 50}),
    n_train=1000,
    n_validation=200,
)
ATTACK = AttackSpec(images=100, steps=2, batch_size=50, eps=grid({"2": ["0.1", "0.2"]}))
ROOT = Path(__file__).parents[1]
CPU = torch.device("cpu")


def work(train=1, evaluate=1, training=TRAINING, attack=ATTACK, strong=None, **about):
    return Work("digits", training, attack, 200, train, evaluate, strong=strong or {}, **about)


@pytest.fixture
def measured(monkeypatch):
    """Measurements replaced by round numbers."""
    steps = []
    monkeypatch.setattr(runtime_estimate, "_step", lambda item, batch, device: steps.append(batch) or (0.5, 3.0))
    monkeypatch.setattr(runtime_estimate, "_reading", lambda item, device: (0.001, 0.1, 0.01))
    return steps


def test_costs_are_counted(measured):
    seconds = runtime_estimate.estimate([work(train=3, evaluate=2)])
    assert seconds.training == pytest.approx(3 * 4 * (20 * 0.5 + 3 + 200 * 0.001))
    assert seconds.evaluation == pytest.approx(2 * (200 * 0.001 + 100 * 0.1))


def test_many_cores_help_as_far_as_there_are_jobs(measured):
    """The longest job before the choices, and the longest after them, each of a block of seeds."""
    one = runtime_estimate.estimate([work()])
    alone = one.training + one.evaluation
    assert one.longest == pytest.approx(alone)
    items = [
        work(train=6, evaluate=6, block=3),
        work(train=1, evaluate=0),
        work(train=5, evaluate=5, block=5, final=True),
    ]
    assert runtime_estimate.estimate(items).longest == pytest.approx(8 * alone)
    attack = StrongAttackSpec(["apgd_ce"], 50, 20, 50, grid({"2": ["1"]}))  # 100 s for a network, and more than usual
    items[-1].strong["hard"] = (attack, 5)
    assert runtime_estimate.estimate(items).longest == pytest.approx(3 * alone + 5 * (one.training + 100))
    items[-1].strong["hard"] = (attack, 1)  # for one seed
    assert runtime_estimate.estimate(items).longest == pytest.approx(3 * alone + 5 * one.training + 100)


def test_strong_attacks_are_counted_by_their_gradients(measured):
    attack = StrongAttackSpec(["apgd_t", "targeted"], 50, 20, 50, grid({"2": ["1"], "inf": ["0.1"]}))
    item = work(train=0, evaluate=0, strong={"hard": (attack, 3)})
    assert runtime_estimate.estimate([item]).evaluation == pytest.approx(3 * 50 * 2 * (900 + 180) * 0.01)


def test_small_sets_have_at_least_their_steps(measured):
    training = replace(TRAINING, n_train=20, n_validation=None).with_recipe(min_steps=7)
    assert runtime_estimate.estimate([work(training=training, evaluate=0)]).training == pytest.approx(4 * (7 * 0.5 + 3))
    assert measured == [20]  # a step is one of all the images there are


def test_retraining_counts_as_much_again(measured):
    training = replace(TRAINING, n_validation=None).with_recipe(patience=3, retrain="fresh")
    once, twice = (
        runtime_estimate.estimate([work(training=replace(training, n_stop=n_stop))]).training for n_stop in (None, 200)
    )
    assert once == pytest.approx(4 * (20 * 0.5 + 3))
    assert twice == pytest.approx(2 * 4 * (20 * 0.5 + 3 + 200 * 0.001))  # and what is held out is read


def test_each_kind_of_step_is_measured_once(measured):
    stronger, other = (replace(TRAINING, objective=ObjectiveSpec("perturb", p=p, eps=0.2)) for p in (2.0, 1.0))
    slower, lower = TRAINING.with_recipe(precision="bfloat16"), TRAINING.with_recipe(lr=0.01, weight_decay=1e-4)
    several = replace(TRAINING, objective=ObjectiveSpec("worst_norm", p=(1.0, 2.0), eps=(0.2, 0.2)))
    same = TRAINING, stronger, other, lower
    runtime_estimate.estimate([work(training=training) for training in (*same, slower, several)])
    assert len(measured) == 3  # other arithmetic, and several norms at once


def test_the_estimate_is_of_the_order_of_the_truth():
    """Within a factor of five, on machines that do other things too."""
    training = replace(TRAINING, n_validation=None).with_recipe(epochs=20, min_steps=20)
    expected = runtime_estimate.estimate([work(training=training, evaluate=0)]).training
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 17, (1000, 1, 8, 8), generator=generator, dtype=torch.uint8)
    data = Split(images, torch.randint(0, 10, (1000,), generator=generator), 16, 10)
    start = time.perf_counter()
    train_block([0], data, None, training, CPU)
    assert 0.2 < expected / (time.perf_counter() - start) < 5


def slow(monkeypatch, name, seconds):
    """A method of a stack of replicas takes so much longer; how often it was called."""
    calls, method = [], getattr(Stack, name)

    def slowed(self, *arguments):
        calls.append(name)
        time.sleep(seconds)
        return method(self, *arguments)

    monkeypatch.setattr(Stack, name, slowed)
    return calls


def test_readings_after_an_epoch_are_no_part_of_a_step(monkeypatch):
    """A step of a convolutional network is short beside the attacks on training images after each epoch."""
    slow(monkeypatch, "run_epoch", 0.4)
    step, readings = runtime_estimate._step(work(), 50, CPU)
    assert step < 0.2
    assert readings > 0.3


def test_readings_are_of_as_many_images_as_in_training(measured):
    """A small batch is no measure of them."""
    small = replace(TRAINING, n_train=60).with_recipe(batch_size=8)
    runtime_estimate.estimate([work(training=small), work(training=replace(small, n_train=1000))])
    assert measured == [60, 100]


def test_a_step_is_one_of_several_of_an_epoch(monkeypatch):
    slow(monkeypatch, "descend", 0.1)
    small = replace(TRAINING, n_train=100).with_recipe(batch_size=8)
    step, readings = runtime_estimate._step(work(training=small), 100, CPU)
    assert step == pytest.approx(0.1 / 12, rel=1)
    assert readings < 0.3


def test_long_steps_are_timed_once(monkeypatch):
    calls = slow(monkeypatch, "descend", runtime_estimate.LONG)
    step, readings = runtime_estimate._step(work(), 50, CPU)
    assert step == pytest.approx(runtime_estimate.LONG, rel=0.5)
    assert readings < runtime_estimate.LONG / 2
    assert len(calls) == 3  # to warm up, to be timed, and in the epoch whose readings are


def test_an_experiment_of_many_kinds_of_steps_is_not_timed_for_long(monkeypatch):
    calls = slow(monkeypatch, "descend", runtime_estimate.LONG / 4)
    runtime_estimate._step(work(), 50, CPU)
    assert len(calls) <= 2 + 4


def test_attacks_are_timed_on_as_many_images_as_they_take_at_once(monkeypatch):
    """Unless few take long: an attack on a few images costs nearly as much as one on many."""
    counts, pause = [], 0.001
    monkeypatch.setattr(
        runtime_estimate, "evaluate", lambda net, split, attack: counts.append(len(split)) or time.sleep(pause)
    )
    attack = replace(ATTACK, images=150, batch_size=100)
    _, per_attacked, _ = runtime_estimate._reading(work(attack=attack), CPU)
    assert counts == [20, 100]
    assert per_attacked < 0.005
    counts.clear()
    pause = 2.1
    _, per_attacked, _ = runtime_estimate._reading(work(attack=attack), CPU)
    assert counts == [20]
    assert per_attacked == pytest.approx(2.1 / 20, rel=0.2)


def test_attacks_cost_what_they_do():
    """Four times the steps on all images are dearer, and none of the time is training's."""
    dear = replace(ATTACK, steps=40, images=200)
    cheap, costly = (runtime_estimate.estimate([work(train=0, attack=attack)]) for attack in (ATTACK, dear))
    assert cheap.training == costly.training == 0
    assert costly.evaluation > 2 * cheap.evaluation


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "less than a minute"), (59, "less than a minute"), (61, "2 min"), (7500, "2 h 5 min")]
)
def test_minutes_are_rounded_up(seconds, text):
    assert runtime_estimate.minutes(seconds) == text


def test_the_command_says_it_in_one_line():
    command = [sys.executable, "workflow/scripts/estimate_runtime.py", "--jobs", "5", "--parallel", "2"]
    items = to_json([work(train=3, evaluate=4)])
    done = subprocess.run(command, input=items, cwd=ROOT, capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    assert line.startswith("At most 3 networks to train, 4 to evaluate. About")

"""The budget: what is counted, and that it is about right."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from gradreg import runtime_estimate as budget
from gradreg.data.splits import Split
from gradreg.planning.checks import training as recipe
from gradreg.planning.numerals import numbers
from gradreg.training import block as training

HP = {
    "model": {"kind": "sigmoid_mlp", "units": [8], "input": "pixels"},
    "objective": {"kind": "perturb", "alpha": 0.0, "differentiate": False, "start": 0.0, "p": "2", "eps": "0.1"},
    "train": recipe({"epochs": 4, "batch_size": 50}),
    "n_train": 1000,
    "n_validation": 200,
    "n_stop": None,
}
ATTACK = {
    "images": 100,
    "steps": 2,
    "eps": {"2": ["0.1", "0.2"]},
    "batch_size": 50,
    "others": {},
    "noise": {},
    "smooth": False,
}
ROOT = Path(__file__).parents[1]
CPU = torch.device("cpu")


def work(train=1, evaluate=1, hp=HP, attack=ATTACK):
    return budget.Work("digits", hp, attack, 200, train, evaluate)


@pytest.fixture
def measured(monkeypatch):
    """Measurements replaced by round numbers."""
    steps = []
    monkeypatch.setattr(budget, "_step", lambda item, batch, device: steps.append(batch) or 0.5)
    monkeypatch.setattr(budget, "_reading", lambda item, device: (0.001, 0.1, 0.01))
    return steps


def test_costs_are_counted(measured):
    seconds = budget.estimate([work(train=3, evaluate=2)])
    assert seconds.training == pytest.approx(3 * 4 * (20 * 0.5 + 200 * 0.001))
    assert seconds.evaluation == pytest.approx(2 * (200 * 0.001 + 100 * 0.1))


def test_strong_attacks_are_counted_by_their_gradients(measured):
    strong = {"hard": {"attacks": ["apgd_t", "targeted"], "images": 50, "eps": {"2": ["1"], "inf": ["0.1"]}}}
    item = budget.Work("digits", HP, ATTACK, 200, 0, 0, strong, {"hard": 3})
    assert budget.estimate([item]).evaluation == pytest.approx(3 * 50 * 2 * (900 + 180) * 0.01)


def test_small_sets_have_at_least_their_steps(measured):
    hp = HP | {"n_train": 20, "n_validation": None, "train": HP["train"] | {"min_steps": 7}}
    assert budget.estimate([work(hp=hp, evaluate=0)]).training == pytest.approx(4 * 7 * 0.5)
    assert measured == [20]  # a step is one of all the images there are


def test_retraining_counts_as_much_again(measured):
    train = HP["train"] | {"patience": 3, "retrain": "fresh"}
    once, twice = (
        budget.estimate([work(hp=HP | {"n_validation": None, "n_stop": n_stop, "train": train})]).training
        for n_stop in (None, 200)
    )
    assert once == pytest.approx(4 * 20 * 0.5)
    assert twice == pytest.approx(2 * 4 * (20 * 0.5 + 200 * 0.001))  # and what is held out is read


def test_each_kind_of_step_is_measured_once(measured):
    stronger = HP | {"objective": HP["objective"] | {"eps": "0.2"}}
    other = HP | {"objective": HP["objective"] | {"p": "inf"}}
    budget.estimate([work(), work(hp=stronger), work(hp=other)])
    assert len(measured) == 2


def test_the_estimate_is_of_the_order_of_the_truth():
    """Within a factor of five, on machines that do other things too."""
    hp = HP | {"n_validation": None, "train": HP["train"] | {"epochs": 20, "min_steps": 20}}
    expected = budget.estimate([work(hp=hp, evaluate=0)]).training
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 17, (1000, 1, 8, 8), generator=generator, dtype=torch.uint8)
    data = Split(images, torch.randint(0, 10, (1000,), generator=generator), 16, 10)
    start = time.perf_counter()
    training.train_block([0], data, None, hp | {"objective": numbers(hp["objective"])}, CPU)
    assert 0.2 < expected / (time.perf_counter() - start) < 5


def test_long_steps_are_timed_once(monkeypatch):
    asked = []
    monkeypatch.setattr(budget, "_epochs", lambda item, batch, device, steps, repeats: asked.append(steps) or [9.0])
    assert budget._step(work(), 50, CPU) == 9.0
    assert asked == [1]


def test_attacks_cost_what_they_do():
    """Four times the steps on all images are dearer, and none of the time is training's."""
    dear = ATTACK | {"steps": 40, "images": 200}
    cheap, costly = (budget.estimate([work(train=0, attack=attack)]) for attack in (ATTACK, dear))
    assert cheap.training == costly.training == 0
    assert costly.evaluation > 2 * cheap.evaluation


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "less than a minute"), (59, "less than a minute"), (61, "2 min"), (7500, "2 h 5 min")]
)
def test_minutes_are_rounded_up(seconds, text):
    assert budget.minutes(seconds) == text


def test_the_command_says_it_in_one_line():
    items = [{"dataset": "digits", "hp": HP, "attack": ATTACK, "n_read": 200, "train": 3, "evaluate": 4}]
    command = [sys.executable, "workflow/scripts/budget.py", "--jobs", "5", "--parallel", "2"]
    done = subprocess.run(command, input=json.dumps(items), cwd=ROOT, capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    assert line.startswith("Budget: at most 3 networks to train, 4 to measure. About")

"""Training: seed blocks, divergence, schedules, and that it learns."""

import math

import numpy as np
import pytest
import torch

from gradreg.data.digits import split
from gradreg.data.splits import Split
from gradreg.models import checkpoint
from gradreg.planning.entries import recipe
from gradreg.planning.specs import ModelSpec, ObjectiveSpec, TrainingSpec
from gradreg.training import block as training
from gradreg.training import schedules
from gradreg.training.replicas import Stack

CPU = torch.device("cpu")
DIGITS = split()
TRAIN = Split(
    torch.from_numpy(DIGITS["train_images"]), torch.from_numpy(DIGITS["train_labels"].astype(np.int64)), 16, 10
)


CONVOLUTIONAL = {
    "kind": "conv_maxout",
    "channels": [4, 3],
    "pieces": [2, 2],
    "kernels": [3, 3],
    "padding": [1, 1],
    "pool": [3, 2],
    "stride": [2, 2],
    "init": 0.2,
    "keep_input": 0.8,
    "keep_hidden": 0.5,
}


def spec(model=None, objective=None, n_stop=None, **train):
    """The settings of a small run."""
    small = {"epochs": 2, "batch_size": 50, "lr": 0.2, "weight_decay": 1e-4, "max_norm": 1.9, "eps_warmup": 0.5}
    return TrainingSpec(
        ModelSpec.of(model or {"kind": "maxout", "units": [15, 9], "pieces": 3, "init": 0.1}),
        ObjectiveSpec.of(objective or {"kind": "perturb", "p": 2.0, "eps": 0.3}),
        recipe(small, train),
        n_stop=n_stop,
    )


@pytest.mark.parametrize(
    "model",
    [
        {"kind": "maxout", "units": [15, 9], "pieces": 3, "init": 0.1},
        {"kind": "maxout", "units": [15, 9], "pieces": 3, "init": 0.1, "keep_input": 0.8, "keep_hidden": 0.5},
        {"kind": "sigmoid_mlp", "units": [127]},
        CONVOLUTIONAL,
        {"kind": "preact_resnet", "width": 4, "blocks": [1, 1], "groups": 2},
    ],
    ids=lambda model: model["kind"],
)
@pytest.mark.parametrize(
    "objective",
    [{"kind": "plain"}]
    + [{"kind": "perturb", "p": p, "eps": 0.2} for p in (1.0, 1.5, 2.0, math.inf)]
    + [
        {"kind": "noise", "distribution": "gaussian", "p": 2.0, "eps": 0.2},
        {"kind": "perturb", "start": 1.0, "p": 3.0, "eps": 0.2},
        {"kind": "penalty", "p": 2.0, "eps": 0.1},
        {"kind": "alignment", "weight": 0.1, "p": 2.0, "eps": 0.2},
    ],
)
def test_a_replica_in_a_block_equals_the_same_replica_alone(model, objective):
    settings = spec(model, objective)
    train, held_out = TRAIN.first(300), TRAIN.last(60)
    block = training.train_block([0, 3, 5], train, held_out, settings, CPU)
    (alone,) = training.train_block([3], train, held_out, settings, CPU)
    assert [replica.seed for replica in block] == [0, 3, 5]
    assert checkpoint.digest(alone.parameters) == checkpoint.digest(block[1].parameters)
    assert checkpoint.digest(alone.parameters) != checkpoint.digest(block[0].parameters)
    assert alone.history == block[1].history


@pytest.mark.parametrize(
    "objective",
    [
        {"kind": "perturb", "p": 2.0, "eps": 0.3},
        {"kind": "penalty", "p": math.inf, "eps": 0.01},
        {"kind": "adversarial", "steps": 2, "start": 0.5, "p": 1.0, "eps": 0.3},
    ],
    ids=lambda objective: objective["kind"],
)
def test_stacked_replicas_agree_with_looped_ones(objective):
    """The path that GPUs take, run on the CPU: equal up to rounding."""
    model = {"kind": "maxout", "units": [15, 9], "pieces": 3, "init": 0.1, "keep_hidden": 0.8}
    settings, train = spec(model, objective), TRAIN.first(300)
    stack = Stack([0, 1], train, TRAIN.last(60), settings)
    for _ in range(2):
        stack.run_epoch()
    for together, alone in zip(
        stack.replicas(), training.train_block([0, 1], train, TRAIN.last(60), settings, CPU), strict=True
    ):
        for name, value in alone.parameters.items():
            torch.testing.assert_close(together.parameters[name], value, rtol=1e-3, atol=1e-4)


def test_training_learns_and_tells_of_every_epoch():
    seen = []
    (replica,) = training.train_block(
        [0],
        TRAIN.first(997),
        TRAIN.last(300),
        spec(epochs=8),
        CPU,
        on_epoch=lambda epoch, rows: seen.append((epoch, rows)),
    )
    assert [epoch for epoch, _ in seen] == list(range(1, 9))
    assert seen[-1][1] == [replica.history[-1]]
    assert replica.history[-1]["held_out_error"] < 0.12
    assert replica.history[-1]["loss"] < replica.history[0]["loss"] / 3
    assert replica.diverged is None


def test_without_held_out_data_none_is_read():
    (replica,) = training.train_block([0], TRAIN.first(100), None, spec(epochs=1), CPU)
    probed = {"probe_error_1", "probe_error_5", "participation_ratio"}
    assert set(replica.history[0]) == {"phase", "epoch", "loss", "error"} | probed


def test_norm_caps_hold_after_training():
    (replica,) = training.train_block([0], TRAIN.first(200), None, spec(max_norm=0.5), CPU)
    for name, value in replica.parameters.items():
        if name.endswith("weight"):
            assert value.norm(dim=1).max() <= 0.5 * (1 + 1e-6)


def test_a_diverged_replica_freezes_and_says_when():
    settings = spec({"kind": "sigmoid_mlp", "units": [5]}, epochs=3, lr=1e38, max_norm=None)
    (replica,) = training.train_block([0], TRAIN.first(200), TRAIN.last(50), settings, CPU)
    assert replica.diverged == 1
    assert len(replica.history) == 3
    assert all(math.isnan(row["loss"]) for row in replica.history)
    fresh = checkpoint.build(settings.model, (1, 8, 8), 10, torch.Generator().manual_seed(0))
    for name, value in fresh.named_parameters():
        assert torch.equal(replica.parameters[name], value)


@pytest.mark.parametrize("kind", ["plain", "penalty", "curvature"])
@pytest.mark.parametrize(
    "model",
    [CONVOLUTIONAL, {"kind": "preact_resnet", "width": 4, "blocks": [1, 1], "groups": 2}],
    ids=lambda m: m["kind"],
)
def test_a_step_goes_against_the_gradient(model, kind):
    """Also where it lies in memory in another order than the weights, as second derivatives of convolutions do."""
    objective = {"kind": kind} | ({} if kind == "plain" else {"p": 2.0, "eps": 0.3})
    objective |= {"h": 0.1} if kind == "curvature" else {}
    train = {"epochs": 1, "batch_size": 60, "lr_schedule": "constant", "lr": 0.1, "weight_decay": 0.0, "max_norm": None}
    train |= {"momentum": 0.0, "nesterov": False}
    stack = Stack([0], TRAIN.first(60), None, spec(model, objective, **train))
    before, seen = {name: value.clone() for name, value in stack.parameters.items()}, []
    gradients = stack.step_gradients
    stack.step_gradients = lambda *given: seen.append(gradients(*given)) or seen[0]
    stack.descend(1)
    for name, value in stack.parameters.items():
        torch.testing.assert_close(value, before[name] - 0.1 * seen[0][0][name])


def test_noise_leaves_the_order_of_samples_as_it_is():
    """A seed means the same initial weights and the same order for every objective and every dropout."""
    settings = spec(), spec(objective={"kind": "noise", "distribution": "sign", "p": 2.0, "eps": 0.1})
    plain, noisy = (Stack([0], TRAIN.first(200), None, each) for each in settings)
    for stack in (plain, noisy):
        stack.run_epoch()
    assert torch.equal(plain.batches.order(), noisy.batches.order())
    assert [name for name in noisy.batches.random(50)] == ["draw"]
    assert plain.batches.random(50) == {}
    first, second = (noisy.batches.random(50)["draw"] for _ in range(2))
    assert first.shape == (1, 50, 1, 8, 8)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("model", [{"kind": "maxout", "units": [20, 20], "pieces": 2}, CONVOLUTIONAL], ids=str)
def test_what_is_kept_has_finite_answers(model):
    """Though the last step of an epoch led to finite weights whose answers are not."""
    settings = spec(model, {"kind": "plain"}, epochs=8, lr=1e3, max_norm=None, lr_schedule="constant", batch_size=100)
    (replica,) = training.train_block([0], TRAIN.first(100), TRAIN.last(50), settings, CPU)
    network = checkpoint.build(settings.model, (1, 8, 8), 10)
    logits = torch.func.functional_call(network, replica.parameters, (TRAIN.first(100).pixels(),))
    assert logits.isfinite().all()
    assert replica.diverged is not None
    assert all(math.isfinite(row["held_out_loss"]) for row in replica.history)


def test_divergence_leaves_the_others_of_a_stack_alone():
    settings = spec(max_norm=None, objective={"kind": "plain"})
    stack = Stack([0, 1], TRAIN.first(200), None, settings)
    calm = Stack([0, 1], TRAIN.first(200), None, settings)
    stack.parameters["1.weight"][0] = math.inf
    stack.run_epoch()
    calm.run_epoch()
    assert stack.diverged == [1, None]
    assert torch.equal(stack.parameters["1.weight"][1], calm.parameters["1.weight"][1])
    assert torch.equal(stack.parameters["1.weight"][0], stack.kept["1.weight"][0])


def test_a_batch_is_at_most_the_training_set():
    (replica,) = training.train_block([0], TRAIN.first(20), None, spec(epochs=1), CPU)
    (whole,) = training.train_block([0], TRAIN.first(20), None, spec(epochs=1, batch_size=20), CPU)
    assert checkpoint.digest(replica.parameters) == checkpoint.digest(whole.parameters)


def test_small_training_sets_are_passed_over_until_there_are_enough_steps():
    stack = Stack([0], TRAIN.first(120), None, spec(min_steps=5))
    (order,) = stack.batches.order()
    assert stack.batches.steps == 5
    assert len(order) == 3 * 100  # three passes of two batches of 50; the odd 20 are left out
    assert all(len(set(part.tolist())) == 100 for part in order.split(100))
    assert stack.run_epoch()[0]["error"] <= 1


def test_schedules():
    assert schedules.one_cycle(0) == pytest.approx(1 / 25)
    assert schedules.one_cycle(0.3) == pytest.approx(1)
    assert schedules.one_cycle(1) == pytest.approx(0)
    rates = [schedules.one_cycle(i / 100) for i in range(101)]
    assert rates[:31] == sorted(rates[:31])
    assert rates[30:] == sorted(rates[30:], reverse=True)
    assert [schedules.ramp(done, 0.5) for done in (0, 0.25, 0.5, 1)] == [0, 0.5, 1, 1]
    assert schedules.ramp(0, 0) == 1

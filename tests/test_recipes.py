"""Recipes: schedules against what published runs say of themselves, stopping, retraining, averages, augmentation."""

import functools
import math
from dataclasses import replace

import pytest
import torch
from test_training import CPU, TRAIN, spec

from gradreg.evaluation.measure import evaluate
from gradreg.models import checkpoint
from gradreg.models import preprocessing as inputs
from gradreg.planning.entries import recipe
from gradreg.planning.specs import AttackSpec, ModelSpec, WatchSpec, grid
from gradreg.training import block as training
from gradreg.training import early_stopping, schedules
from gradreg.training.augmentation import augmented
from gradreg.training.optimizer import per_layer
from gradreg.training.replicas import Stack

PLAIN = {"kind": "plain"}
STEADY = {"lr_schedule": "constant", "nesterov": False, "momentum": 0.5, "eps_warmup": 0.0}


# Schedules


def test_the_published_dense_run_stands_where_its_continuation_begins():
    """Its best epoch was 243: mnist_pi_continued.yaml goes on with lr .0615083 and momentum .694377."""
    settings = recipe({"recipe": "maxout-mnist-dense"})
    _, steps = schedules.batches(50000, settings)
    assert steps == 500
    assert schedules.learning_rate(settings, 244, 0, steps) == pytest.approx(0.0615083, abs=1e-6)
    assert schedules.momentum(settings, 243) == pytest.approx(0.694377, abs=1e-6)
    later = early_stopping._afterwards(settings, 243, steps)
    assert (later.lr, later.momentum) == (
        schedules.learning_rate(settings, 244, 0, steps),
        schedules.momentum(settings, 243),
    )
    assert schedules.learning_rate(later, 1, 1, 600) == pytest.approx(later.lr / 1.000004, rel=1e-9)
    assert schedules.learning_rate(later, 10**6, 0, 600) == pytest.approx(1e-6)


def test_schedules_by_their_ends():
    linear = recipe({"recipe": "maxout-cifar10"})
    rates = [schedules.learning_rate(linear, epoch, 5, 10) for epoch in (1, 2, 500, 700)]
    assert rates == pytest.approx([0.17, 0.17 - 0.17 * 0.99 / 499, 0.0017, 0.0017])
    assert [schedules.momentum(linear, epoch) for epoch in (1, 250, 400)] == pytest.approx([0.5, 0.6, 0.6])
    small = recipe({"recipe": "maxout-cifar10-small"})
    assert [schedules.learning_rate(small, epoch, 0, 9) for epoch in (1, 250)] == pytest.approx([0.1, 0.001])
    assert (schedules.momentum(small, 250), small.lr_factors[:3]) == (0.6, [0.05] * 3)
    conv = recipe({"recipe": "maxout-mnist-conv"})
    assert schedules.learning_rate(conv, 1, 7, 390) == pytest.approx(0.05 / 1.00004**7)
    assert schedules.learning_rate(conv, 10**6, 0, 390) == pytest.approx(1e-6)
    assert schedules.momentum(recipe({"momentum": 0.8}), 9) == 0.8
    assert schedules.learning_rate(recipe({"lr_schedule": "constant", "lr": 0.3}), 7, 1, 9) == 0.3


# Steps


def test_momentum_and_rates_make_the_published_step():
    """v <- m v - lr g; w <- w + v, with a factor on the rate of each layer: written down again on a linear net."""
    recipe_ = STEADY | {"lr": 0.3, "lr_factors": [0.1, 1], "epochs": 1, "weight_decay": 0.0, "max_norm": None}
    settings = spec({"kind": "sigmoid_mlp", "units": [5]}, PLAIN, **recipe_)
    stack = Stack([0], TRAIN.first(200), None, settings)
    weights = {name: value[0].clone().requires_grad_() for name, value in stack.parameters.items()}
    generator = torch.Generator().manual_seed(0)
    checkpoint.build(settings.model, (1, 8, 8), 10, generator)
    order = torch.randperm(200, generator=generator)
    stack.run_epoch()
    velocity = {name: torch.zeros_like(value) for name, value in weights.items()}
    for index in order.split(50):
        logits = torch.func.functional_call(
            checkpoint.build(settings.model, (1, 8, 8), 10), weights, (TRAIN.pixels(index),)
        )
        loss = torch.nn.functional.cross_entropy(logits, TRAIN.labels[index])
        for (name, value), g in zip(weights.items(), torch.autograd.grad(loss, list(weights.values())), strict=True):
            velocity[name] = 0.5 * velocity[name] - 0.3 * (0.1 if name.startswith("1.") else 1) * g
            value.data += velocity[name]
    for name, value in weights.items():
        torch.testing.assert_close(stack.parameters[name][0], value.detach(), atol=1e-5, rtol=1e-4)


def test_adamw_makes_the_step_of_torch_with_a_rate_for_each_layer():
    """With its bias corrected and its decay apart from the gradient (Loshchilov and Hutter 2019)."""
    adamw = {"optimizer": "adamw", "momentum": 0.8, "beta2": 0.95, "weight_decay": 0.1, "lr": 0.01}
    recipe_ = {"lr_schedule": "constant", "lr_factors": [0.1, 1], "epochs": 1, "max_norm": None, "eps_warmup": 0.0}
    settings = spec({"kind": "sigmoid_mlp", "units": [5]}, PLAIN, **recipe_, **adamw)
    stack = Stack([0], TRAIN.first(200), None, settings)
    generator = torch.Generator().manual_seed(0)
    net = checkpoint.build(settings.model, (1, 8, 8), 10, generator)
    order = torch.randperm(200, generator=generator)
    layers = [
        {"params": [value for name, value in net.named_parameters() if name.startswith("1.")], "lr": 0.001},
        {"params": [value for name, value in net.named_parameters() if not name.startswith("1.")]},
    ]
    peer = torch.optim.AdamW(layers, lr=0.01, betas=(0.8, 0.95), weight_decay=0.1)
    stack.run_epoch()
    for index in order.split(50):
        peer.zero_grad()
        torch.nn.functional.cross_entropy(net(TRAIN.pixels(index)), TRAIN.labels[index]).backward()
        peer.step()
    for name, value in net.named_parameters():
        torch.testing.assert_close(stack.parameters[name][0], value.detach(), atol=1e-5, rtol=1e-4)


def test_values_per_layer():
    net = checkpoint.build(ModelSpec.of({"kind": "maxout", "units": [6, 5], "pieces": 2}), (1, 4, 4), 10)
    stacked = {name: value.detach().unsqueeze(0) for name, value in net.named_parameters()}
    assert per_layer("max_norm", 2.0, stacked) == 2.0
    assert per_layer("max_norm", [1, 2, 3], stacked) == {
        "1.weight": 1,
        "1.bias": 1,
        "3.weight": 2,
        "3.bias": 2,
        "5.weight": 3,
        "5.bias": 3,
    }
    with pytest.raises(ValueError, match="max_norm has 2 values, but the network 3 layers with weights"):
        per_layer("max_norm", [1, 2], stacked)
    with pytest.raises(ValueError, match="lr_factors has 1 values"):
        training.check(TRAIN, spec(lr_factors=[1.0]))


def test_caps_of_each_layer_hold():
    (replica,) = training.train_block([0], TRAIN.first(200), None, spec(max_norm=[0.3, 0.2, 0.1]), CPU)
    for name, bound in (("1.weight", 0.3), ("3.weight", 0.2), ("5.weight", 0.1)):
        assert replica.parameters[name].norm(dim=1).max() == pytest.approx(bound, rel=1e-5)


def test_averages_are_those_of_the_steps():
    """w_t <- d_t w_t + (1 - d_t) w, d_t = min(averaging, t / (t + 9)), and they are what is read and kept."""
    settings = spec(objective=PLAIN, averaging=0.7, epochs=1)
    stack = Stack([0], TRAIN.first(300), TRAIN.last(50), settings)
    followed, expected = stack.descent.step, stack.parameters_of(0)
    seen = []

    def step(*arguments):
        followed(*arguments)
        seen.append({name: value[0].clone() for name, value in stack.parameters.items()})

    stack.descent.step = step
    stack.run_epoch()
    for t, weights in enumerate(seen, start=1):
        decay = min(0.7, t / (t + 9))
        expected = {name: decay * value + (1 - decay) * weights[name] for name, value in expected.items()}
    for name, value in stack.replicas()[0].parameters.items():
        torch.testing.assert_close(value, expected[name])
        assert not torch.equal(value, stack.parameters[name][0])


def test_smoothed_labels():
    plain, smooth = (Stack([0], TRAIN, None, spec(label_smoothing=share)) for share in (0.0, 0.1))
    labels = torch.tensor([[3, 0]])
    assert plain.batches.targets(labels) is labels
    expected = torch.full((1, 2, 10), 0.01)
    expected[0, 0, 3] = expected[0, 1, 0] = 0.91
    torch.testing.assert_close(smooth.batches.targets(labels), expected)
    logits = torch.randn(2, 10, generator=torch.Generator().manual_seed(0))
    reference = torch.nn.functional.cross_entropy(logits, labels[0], label_smoothing=0.1)
    torch.testing.assert_close(torch.nn.functional.cross_entropy(logits, smooth.batches.targets(labels)[0]), reference)
    assert math.isfinite(smooth.run_epoch()[0]["loss"])


# Augmentation


def test_shifts_cut_images_out_of_themselves():
    x = torch.rand(40, 2, 5, 5, generator=torch.Generator().manual_seed(0)) + 1
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2))
    seen = set()
    for image, around in zip(augmented(x, 2, False, torch.Generator().manual_seed(1)), padded, strict=True):
        places = [(i, j) for i in range(5) for j in range(5) if torch.equal(around[:, i : i + 5, j : j + 5], image)]
        assert len(places) == 1
        seen |= set(places)
    assert len(seen) > 12


def test_flips_mirror_about_half_of_the_images():
    x = torch.rand(400, 1, 3, 4, generator=torch.Generator().manual_seed(0))
    flipped = augmented(x, 0, True, torch.Generator().manual_seed(1))
    mirrored = (flipped == x.flip(-1)).all(dim=(1, 2, 3))
    kept = (flipped == x).all(dim=(1, 2, 3))
    assert (mirrored ^ kept).all()
    assert 150 < mirrored.sum() < 250


def test_augmentation_changes_training_and_not_the_order():
    still, moved = (Stack([0], TRAIN.first(100), None, spec(pad=pad, flip=pad > 0)) for pad in (0, 1))
    assert torch.equal(still.batches.order(), moved.batches.order())
    index = torch.arange(10).view(1, 10)
    assert torch.equal(still.batches.pixels(index)[0], TRAIN.pixels(slice(0, 10)))
    assert not torch.equal(moved.batches.pixels(index)[0], TRAIN.pixels(slice(0, 10)))


# Stopping and what follows


def run(retrain, held_out=None, patience=3, watch=None, **train):
    changes = {**STEADY, "lr": 0.1, "epochs": 40, **train, "patience": patience, "retrain": retrain}
    model = {"kind": "maxout", "units": [15], "pieces": 2, "init": 0.1, "keep_hidden": 0.8}
    settings = replace(spec(model, PLAIN, n_stop=100, **changes), watch=watch)
    seen = []
    (replica,) = training.train_block(
        [0], TRAIN.first(400), held_out, settings, CPU, on_epoch=lambda epoch, rows: seen.append(rows)
    )
    assert [row for rows in seen for row in rows] == replica.history
    return replica, settings


def test_training_stops_when_validation_gets_no_better():
    replica, settings = run("none")
    errors = [row["held_out_error"] for row in replica.history]
    best = errors.index(min(errors)) + 1
    assert replica.best_epoch == best
    assert len(errors) == best + 3
    assert replica.retrained is None
    settings = settings.with_recipe(patience=None, epochs=best)
    (until,) = training.train_block([0], TRAIN.first(300), None, settings, CPU)
    assert checkpoint.digest(until.parameters) == checkpoint.digest(replica.parameters)


def test_patience_watches_the_error_that_evaluation_measures_in_any_of_the_norms():
    attack = AttackSpec(60, 3, 25, grid({"2": ["0.5"], "inf": ["0.05"]}))
    eps = {p: strengths[0] for p, strengths in attack.eps.items()}
    watch = WatchSpec(attack.blocks["multi_step"], 60, eps)
    replica, settings = run("none", watch=watch)
    errors = [row["watched_error"] for row in replica.history]
    assert replica.best_epoch == errors.index(min(errors)) + 1 == len(errors) - 3
    assert errors != [row["held_out_error"] for row in replica.history]
    network = functools.partial(Stack([0], TRAIN.first(300), None, settings).loss.logits, replica.parameters)
    rows = evaluate(network, TRAIN.first(400).last(100), attack).rows
    errors_of = {(row["attack"], row["attack_p"]): row["value"] for row in rows if row["metric"] == "error"}
    assert errors_of["multi_step", "2+inf"] == min(errors)


def test_with_held_out_images_nothing_is_set_apart_and_nothing_follows():
    replica, settings = run("fresh", held_out=TRAIN.last(200))
    alone = Stack([0], TRAIN.first(400), TRAIN.last(200), settings)
    assert alone.run_epoch()[0] == replica.history[0]
    assert replica.retrained is None
    assert {row["phase"] for row in replica.history} == {1}


def test_a_fresh_start_takes_as_many_epochs_as_were_best():
    replica, settings = run("fresh")
    assert replica.retrained == replica.best_epoch
    assert [row["phase"] for row in replica.history] == [1] * (replica.best_epoch + 3) + [2] * replica.best_epoch
    assert [row["epoch"] for row in replica.history] == list(range(1, len(replica.history) + 1))
    settings = settings.with_recipe(patience=None, epochs=replica.best_epoch)
    (whole,) = training.train_block([0], TRAIN.first(400), None, settings, CPU)
    assert checkpoint.digest(whole.parameters) == checkpoint.digest(replica.parameters)


def test_continuing_ends_when_the_held_out_images_are_as_well_known():
    replica, settings = run("continue_without_dropout")
    first = run("none")[0]
    assert replica.best_epoch == first.best_epoch
    before = Stack([0], TRAIN.first(300), None, settings)
    before.start_from(first.parameters)
    bound = before.read(TRAIN.first(300))[0][0]
    reached = Stack([0], TRAIN.first(400), None, settings)
    reached.start_from(replica.parameters)
    watched = TRAIN.first(400).last(100)
    assert reached.read(watched)[0][0] < bound
    assert 1 <= replica.retrained < 40
    reached.start_from(first.parameters)
    assert reached.read(watched)[0][0] >= bound


def test_continuing_with_dropout_starts_from_the_best_network():
    replica, _ = run("continue", lr_schedule="exponential", lr_decay=1.001)
    assert 1 <= replica.retrained <= 40
    assert replica.history[replica.best_epoch + 3]["phase"] == 2
    first = replica.history[replica.best_epoch + 3]["loss"]
    assert first < replica.history[0]["loss"] / 2, "it does not begin anew"


def test_few_held_out_images_are_one_batch():
    """Fewer than a batch: the objective on them is still a number."""
    stack = Stack([0], TRAIN.first(100), None, spec({"kind": "maxout", "units": [5], "pieces": 2, "keep_hidden": 0.5}))
    assert math.isfinite(stack.objective_on(TRAIN.first(20)))


def test_a_bound_that_is_never_reached_ends_with_the_epochs():
    replica, _ = run("continue_without_dropout", lr=1e-12, epochs=4, patience=2)
    assert replica.retrained <= 4


def test_divergence_ends_it():
    replica, _ = run("fresh", lr=1e38, max_norm=None)
    assert replica.diverged == 1
    assert replica.retrained is None
    assert len(replica.history) == 1


# Where an objective acts


def test_an_objective_may_act_on_whitened_images():
    """Its loss, step and eps are those of the network behind the whitening, on whitened images."""
    whitening = inputs.Whitening.fit(TRAIN.images)
    model = {"kind": "sigmoid_mlp", "units": [7], "input": "whitened"}
    objective = {"kind": "perturb", "p": math.inf, "eps": 0.5}
    stacks = {
        space: Stack([0], TRAIN.first(100), None, spec(model, objective | {"space": space}), whitening)
        for space in ("pixels", "whitened")
    }
    net = checkpoint.build(ModelSpec.of(model), (1, 8, 8), 10, torch.Generator().manual_seed(0))
    x, y = TRAIN.pixels(slice(0, 50)), TRAIN.labels[:50]
    seen = whitening(x).requires_grad_()
    loss = torch.nn.functional.cross_entropy(net(seen), y, reduction="sum")
    (g,) = torch.autograd.grad(loss, seen)
    expected = torch.nn.functional.cross_entropy(net(seen + 0.5 * g.sign()), y)
    weights = dict(net.named_parameters())
    assert stacks["whitened"].loss(weights, {}, x, y, 0.5)[0].item() == pytest.approx(expected.item(), rel=1e-5)
    assert stacks["pixels"].loss(weights, {}, x, y, 0.5)[0].item() != pytest.approx(expected.item(), rel=1e-2)
    for stack in stacks.values():
        assert math.isfinite(stack.run_epoch()[0]["loss"])

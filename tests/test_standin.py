"""Every objective, network, recipe and attack on a device that is not the CPU: a stand-in for a GPU."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from test_steps import MAXOUT, MODELS, objective
from test_training import TRAIN, spec
from torch import nn

from gradreg import registry
from gradreg.evaluation import examples, measure, transfer
from gradreg.models import preprocessing
from gradreg.models.checkpoint import build
from gradreg.planning import specs
from gradreg.planning.specs import grid
from gradreg.training.block import train_block
from gradreg.training.replicas import Stack

standin = pytest.importorskip("standin", reason="needs PyTorch 2.9 or newer", exc_type=ImportError)
DEVICES = (standin.CPU, standin.DEVICE)
RESNET = {"kind": "preact_resnet", "width": 4, "blocks": [1, 1], "groups": 2}
GRID = grid({"1": ["2"], "2": ["0.5"], "inf": ["0.1"]})
ONE_EPS = {p: eps[0] for p, eps in GRID.items()}


@pytest.fixture(autouse=True)
def device(monkeypatch):
    monkeypatch.setattr(torch, "Generator", standin.Generator)
    with standin.StandIn():
        yield


def test_the_stand_in_tells_devices_apart():
    here, there = torch.ones(3, device=standin.DEVICE), torch.ones(3)
    assert (here.to("cpu") + there).tolist() == [2, 2, 2]
    assert (here * torch.tensor(2.0)).device == (2 * here).device == standin.DEVICE
    with pytest.raises(RuntimeError, match="tensors on"):
        here + there
    with pytest.raises(RuntimeError, match="generator"):
        torch.rand(3, device=standin.DEVICE, generator=torch.Generator())
    with pytest.raises(RuntimeError, match="generator"):
        torch.rand(3, generator=torch.Generator(standin.DEVICE))


def trained(settings, seeds=(0,), whitening=None):
    """Stacks after an epoch on the CPU and on the device."""
    for device in DEVICES:
        stack = Stack(list(seeds), TRAIN.first(100).to(device), TRAIN.last(50).to(device), settings, whitening)
        stack.run_epoch()
        yield stack


def assert_alike(on_cpu, on_device):
    assert {value.device for value in on_device.parameters.values()} == {standin.DEVICE}
    for name, value in on_cpu.parameters.items():
        torch.testing.assert_close(on_device.parameters[name].to("cpu"), value)
    rows = (pd.DataFrame(list(itertools.chain(*stack.history))) for stack in (on_cpu, on_device))
    pd.testing.assert_frame_equal(*rows, rtol=1e-4)


@pytest.mark.parametrize("seeds", [(0,), (0, 1)], ids=["alone", "stacked"])
@pytest.mark.parametrize("kind", registry.section("objectives"))
def test_objectives(kind, seeds):
    assert_alike(*trained(spec(MAXOUT, objective(kind), pad=1, flip=True, averaging=0.5), seeds))


@pytest.mark.parametrize("model", [*MODELS, RESNET], ids=lambda model: model["kind"])
def test_networks(model):
    assert_alike(*trained(spec(model, objective("perturb")), (0, 1)))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_optimizers(optimizer):
    assert_alike(*trained(spec(MAXOUT, objective("perturb"), optimizer=optimizer, averaging=0.5)))


@pytest.mark.parametrize("space", ["pixels", "whitened"])
def test_whitened_images(space):
    whitening = preprocessing.Whitening.fit(TRAIN.pixels(slice(0, 100)))
    settings = spec(MAXOUT | {"input": "whitened"}, objective("perturb") | {"space": space})
    assert_alike(*trained(settings, whitening=whitening))


@pytest.mark.parametrize("name", registry.section("recipes"))
def test_recipes(name):
    """With a patience that watches the error under attack where there is one, and what follows on all images."""
    attack = specs.AttackSpec(20, 2, 10, GRID)
    watch = specs.WatchSpec(attack.blocks["multi_step"], 20, ONE_EPS)
    patience = registry.section("recipes")[name]["settings"].get("patience") and 1
    train = {"recipe": name, "epochs": 3, "patience": patience, "max_norm": 1.9, "lr_factors": None, "eps_warmup": 0.0}
    settings = replace(spec(MAXOUT, objective("perturb"), n_stop=50, **train), watch=watch if patience else None)
    on_cpu, on_device = (train_block([0], TRAIN.first(150).to(d), None, settings, d)[0] for d in DEVICES)
    assert [row["phase"] for row in on_device.history] == [row["phase"] for row in on_cpu.history]
    for key, value in on_cpu.parameters.items():
        torch.testing.assert_close(on_device.parameters[key].to("cpu"), value)


def networks(model):
    """An untrained network on both devices."""
    generators = [torch.Generator().manual_seed(0) for _ in DEVICES]
    built = [build(specs.ModelSpec.of(model), (1, 8, 8), 10, generator) for generator in generators]
    return [
        nn.Sequential(preprocessing.layer("pixels", None), network).eval().requires_grad_(False).to(device)
        for network, device in zip(built, DEVICES, strict=True)
    ]


def assert_rows_alike(on_cpu, on_device):
    pd.testing.assert_frame_equal(pd.DataFrame(on_device), pd.DataFrame(on_cpu), rtol=1e-4)


@pytest.mark.parametrize("model", [{"kind": "sigmoid_mlp", "units": [20]}, RESNET], ids=lambda model: model["kind"])
def test_evaluation(model):
    others = {"targeted": {"kind": "targeted", "steps": 2, "classes": 2}, "random": {"kind": "random", "draws": 2}}
    noise = {"gaussian": specs.numerals(["0.1"]), "uniform": specs.numerals(["0.2"])}
    attack = specs.AttackSpec(20, 3, 10, GRID, noise, others, smooth=model["kind"] == "sigmoid_mlp")
    pairs = zip(networks(model), DEVICES, strict=True)
    measured = [measure.evaluate(net, TRAIN.first(30).to(device), attack) for net, device in pairs]
    assert_rows_alike(*(result.rows for result in measured))


@pytest.mark.parametrize("kind", [kind for kind, block in registry.section("attacks").items() if "norms" in block])
def test_strong_attacks(kind):
    if registry.lookup("attacks", kind).get("package"):
        pytest.importorskip(registry.lookup("attacks", kind)["package"]["name"])
    attack = specs.StrongAttackSpec([kind], 5, 2, 5, GRID)
    nets = networks({"kind": "sigmoid_mlp", "units": [20]})
    measured = [measure.strong(net, TRAIN.first(5).to(d), attack, kind) for net, d in zip(nets, DEVICES, strict=True)]
    assert_rows_alike(*(result.rows for result in measured))


def test_transfer_and_images(monkeypatch):
    monkeypatch.setattr(examples, "DREAM_STEPS", 5)
    settings = specs.TransferSpec(10, 2, 5, ONE_EPS)
    rows, pictures = [], []
    for net, device in zip(networks(MAXOUT), DEVICES, strict=True):
        members = [transfer.Member({"seed": seed}, net) for seed in range(2)]
        rows.append(transfer.transfer(members, [0], TRAIN.first(10).to(device), settings))
        shown = specs.GallerySpec([0, 1], 2, ONE_EPS)
        drawn = examples.gallery(net, TRAIN.first(30).to(device), shown) | examples.dreams(net, (1, 8, 8), [0, 1])
        pictures.append({name: array.to("cpu").numpy() for name, array in drawn.items()})
    assert_rows_alike(*rows)
    for name, array in pictures[0].items():
        np.testing.assert_allclose(pictures[1][name], array, rtol=1e-4, atol=1e-5)

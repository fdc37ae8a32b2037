"""Training steps that a GPU can run without waiting, in less precision, compiled: as far as it shows without one."""

import contextlib
import math
import os
import re
import subprocess
import sys

import pytest
import torch
from project import ROOT
from test_training import CONVOLUTIONAL, CPU, TRAIN, spec
from torch.utils._python_dispatch import TorchDispatchMode

from gradreg import registry
from gradreg.training import block as training
from gradreg.training import cuda_graph as recorded
from gradreg.training.cuda_graph import Recorded
from gradreg.training.replicas import Stack

MAXOUT = {"kind": "maxout", "units": [15, 9], "pieces": 3, "init": 0.1, "keep_hidden": 0.5}
MODELS = [MAXOUT, {"kind": "sigmoid_mlp", "units": [20]}, CONVOLUTIONAL]
OBJECTIVES = {
    "plain": {},
    "noise": {"distribution": "gaussian"},
    "finite_difference": {"h": 0.1, "power": 2},
    "adversarial": {"steps": 2},
    "alignment": {"weight": 0.2},
    "curvature": {"h": 0.1},
    "virtual": {"h": 0.1, "weight": 1.0},
    "trades": {"steps": 2, "weight": 6.0, "start": 0.5},
}


def objective(kind):
    strength = {} if kind == "plain" else {"p": 2.0, "eps": 0.2}
    if registry.several_norms(kind):
        strength = {"p": [1.0, 2.0, math.inf], "eps": [1.0, 0.2, 0.05]}
    return {"kind": kind, **OBJECTIVES.get(kind, {}), **strength}


class NoWaiting(TorchDispatchMode):
    """Fails where a value is read back, or a shape depends on values."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name not in ("_local_scalar_dense", "item", "is_nonzero", "nonzero", "equal", "masked_select"), name
        return func(*args, **(kwargs or {}))


def stack(seeds, model, kind, **train):
    return Stack(seeds, TRAIN.first(150), None, spec(model, objective(kind), averaging=0.5, pad=1, flip=True, **train))


@pytest.mark.parametrize("kind", registry.section("objectives"))
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model["kind"])
def test_steps_do_not_wait_for_the_device(model, kind):
    for seeds in ([0], [0, 1]):
        replicas = stack(seeds, model, kind)
        with NoWaiting():
            replicas.descend(1)
        assert replicas.loss_sum.isfinite().all()


def test_waiting_would_be_noticed():
    with NoWaiting(), pytest.raises(AssertionError, match="_local_scalar_dense"):
        float(torch.ones(()))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("kind", ["perturb", "finite_difference", "penalty", "worst_norm"])
def test_numbers_may_be_tensors(kind, optimizer):
    """As they are in a recording: strength, rate and decay."""
    numbers, tensors = (stack([0], MAXOUT, kind, optimizer=optimizer) for _ in range(2))
    step = tensors.step.step

    def as_tensors(given, key):
        step({k: v if isinstance(v, torch.Tensor) else torch.tensor(v) for k, v in given.items()}, key)

    tensors.step.step = as_tensors
    for replicas in (numbers, tensors):
        replicas.descend(1)
    # AdamW divides by the gradient's size, however small, and rounding grows with it; a wrong number is off by more.
    close = {"rtol": 0, "atol": 1e-3} if optimizer == "adamw" else {}
    for name, value in numbers.parameters.items():
        torch.testing.assert_close(tensors.parameters[name], value, **close)
        torch.testing.assert_close(tensors.descent.averages[name], numbers.descent.averages[name], **close)


def test_steps_go_on_in_the_same_tensors():
    """Also once momentum begins: a tensor that a recorded step made would be made anew in each replay."""
    replicas = stack([0, 1], MAXOUT, "plain", epochs=3, momentum=0.0, momentum_end=0.9, momentum_epochs=2)
    places = {name: value.data_ptr() for name, value in replicas.descent.state().items()}
    assert {name.split("/")[0] for name in places} == {"averages", "momenta"}
    for epoch in (1, 2, 3):
        replicas.descend(epoch)
        assert {name: value.data_ptr() for name, value in replicas.descent.state().items()} == places


class Device:
    """Stands in for CUDA's streams and graphs, and keeps what is asked of it."""

    def __init__(self, monkeypatch, failure=None):
        self.log, self.failure, self.recording = [], failure, False
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: self)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda: self)
        monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: self)
        monkeypatch.setattr(torch.cuda, "graph", self.graph)

    def wait_stream(self, other):
        pass

    @contextlib.contextmanager
    def graph(self, graph, stream):
        self.recording = True
        yield
        self.recording = False
        if self.failure:
            raise RuntimeError(self.failure)

    def step(self, given, key):
        self.log.append(("recorded" if self.recording else "run", key))
        if self.recording:
            self.given = given

    def replay(self):
        self.log.append(("replayed", *(float(value) for value in self.given.values())))


def recorded_on(monkeypatch, device, said):
    # A device that cannot be made here: tensors are made on the CPU in its place.
    full = torch.full
    monkeypatch.setattr(torch, "full", lambda size, value, device: full(size, value))
    return Recorded(device.step, torch.device("cuda"), said.append)


def test_a_step_is_recorded_once_and_replayed(monkeypatch):
    device, said = Device(monkeypatch), []
    step = recorded_on(monkeypatch, device, said)
    for i in range(recorded.WARM + 3):
        step({"x": torch.tensor(float(i)), "eps": i / 2}, 0.5)
    runs = [("run", 0.5)] * recorded.WARM
    assert device.log == [*runs, ("recorded", 0.5), *(("replayed", i, i / 2) for i in (3.0, 4.0, 5.0))]
    assert said == ["steps are recorded as a CUDA graph"]
    step({"x": torch.tensor(9.0), "eps": 1.0}, 0.9)
    assert device.log[-2:] == [("recorded", 0.9), ("replayed", 9.0, 1.0)]
    assert len(said) == 1


def test_what_cannot_be_recorded_is_run_and_the_reason_told_once(monkeypatch):
    device, said = Device(monkeypatch, failure="operation not permitted\nand a trace"), []
    step = recorded_on(monkeypatch, device, said)
    for _ in range(recorded.WARM + 3):
        step({"x": torch.tensor(1.0)}, 0.5)
    assert [name for name, _ in device.log] == ["run"] * recorded.WARM + ["recorded"] + ["run"] * 3
    assert said == ["steps are not recorded: operation not permitted"]


@pytest.mark.parametrize(
    ("together", "stacked", "text"),
    [
        (0.004, True, "stacked: a step of all takes 4.00 ms stacked, 6.00 ms in turn"),
        (0.007, False, "in turn: a step of all takes 7.00 ms stacked, 6.00 ms in turn"),
        (float("inf"), False, "in turn: 3 replicas at once do not fit into the device's memory; lower seeds_per_job"),
    ],
)
def test_the_faster_way_is_taken(monkeypatch, together, stacked, text):
    monkeypatch.setattr(training, "_seconds", lambda make, seeds, *_: 0.002 if len(seeds) == 1 else together)
    said = []
    assert training._stacked(Stack, [4, 5, 6], TRAIN, spec(), said.append) is stacked
    assert said == [text]
    assert not training._stacked(Stack, [4], TRAIN, spec(), said.append)
    assert not training._stacked(Stack, [4, 5], TRAIN, spec(patience=3), said.append)
    assert len(said) == 1


def test_what_is_too_large_for_the_device_is_said_before_it_starts(monkeypatch):
    assert 0 < training._seconds(Stack, [0, 1], TRAIN, spec()) < 60

    def descend(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Stack, "descend", descend)
    with pytest.raises(training.TooLargeError, match="one replica of this network needs more memory than the device"):
        training._stacked(Stack, [0, 1], TRAIN, spec(), print)


def test_training_does_not_import_the_compiler():
    """It takes a second or two, which is most of the time of a short job."""
    program = (
        "import sys; from test_training import CPU, TRAIN, spec; from gradreg.training import block; "
        "block.check(TRAIN, spec()); block.train_block([0], TRAIN, TRAIN, spec(), CPU); "
        "print('torch._dynamo' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_bfloat16_is_near_float32_and_its_weights_are_float32():
    settings = {"epochs": 8, "max_norm": None}
    few, many = TRAIN.last(400), TRAIN.first(800)
    exact, rough, again = (
        training.train_block([0, 1, 2], many, few, spec(precision=precision, **settings), CPU)
        for precision in ("float32", "bfloat16", "bfloat16")
    )
    for a, b, c in zip(exact, rough, again, strict=True):
        assert {value.dtype for value in b.parameters.values()} == {torch.float32}
        assert all(torch.equal(value, c.parameters[name]) for name, value in b.parameters.items())
        assert not torch.equal(a.parameters["1.weight"], b.parameters["1.weight"])
        assert abs(a.history[-1]["held_out_error"] - b.history[-1]["held_out_error"]) <= 0.02


def test_tf32_needs_a_gpu():
    with pytest.raises(ValueError, match="precision: tf32 needs a GPU, and there is none; use float32 or bfloat16"):
        training.train_block([0], TRAIN, None, spec(precision="tf32"), CPU)


def test_compiled_steps_are_the_same_steps():
    said, settings = [], {"epochs": 2, "eps_warmup": 1.0}
    blocks = [
        training.train_block([0, 1, 2], TRAIN.first(300), None, spec(compile=compile, **settings), CPU, say=said.append)
        for compile in (False, True)
    ]
    assert len(said) == 1, "one compilation for all replicas and strengths"
    assert re.fullmatch(r"steps are compiled, in \d+ s", said[0]), said
    for plain, compiled in zip(*blocks, strict=True):
        for name, value in plain.parameters.items():
            torch.testing.assert_close(compiled.parameters[name], value, rtol=1e-3, atol=1e-4)


def test_what_cannot_be_compiled_is_run_and_the_reason_told_once(monkeypatch):
    def compile(function, **_):
        raise RuntimeError("no C++ compiler\nand more")

    monkeypatch.setattr(torch, "compile", compile)
    said = []
    (replica,) = training.train_block([0], TRAIN.first(300), None, spec(compile=True), CPU, say=said.append)
    assert said == ["steps are not compiled: no C++ compiler"]
    (plain,) = training.train_block([0], TRAIN.first(300), None, spec(), CPU)
    torch.testing.assert_close(replica.parameters["1.weight"], plain.parameters["1.weight"], rtol=1e-4, atol=1e-5)

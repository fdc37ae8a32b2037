"""Training that is cut off and taken up again: to the bit, nothing twice, and only what fits."""

import itertools
import json
import math
import signal

import pytest
import torch
from test_training import CONVOLUTIONAL, CPU, TRAIN, spec

from gradreg import cli as commands
from gradreg.models import checkpoint
from gradreg.storage import states
from gradreg.training import block as training
from gradreg.training import checkpoints as resume
from gradreg.training.checkpoints import Resume
from gradreg.training.replicas import Stack

MAXOUT = {"kind": "maxout", "units": [15, 9], "pieces": 3, "init": 0.1, "keep_input": 0.8, "keep_hidden": 0.5}
SIGMOID = {"kind": "sigmoid_mlp", "units": [20]}
RESIDUAL = {"kind": "preact_resnet", "width": 4, "blocks": [1, 1], "groups": 2}
NOISE = {"kind": "noise", "distribution": "gaussian", "p": 2.0, "eps": 0.2}
PATIENT = {"patience": 2, "lr_schedule": "exponential", "eps_warmup": 0.0, "lr": 0.05, "epochs": 6, "momentum_end": 0.7}
FEW, HELD_OUT = TRAIN.first(300), TRAIN.last(60)


class CutError(Exception):
    """In place of a signal."""


class Cut(Resume):
    """Cut off after some epochs of some replica."""

    left = 10**6

    def keep(self, seeds, state, finished):
        super().keep(seeds, state, finished)
        self.left -= 1
        if self.left == 0:
            raise CutError


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """Every epoch is written."""
    monkeypatch.setattr(resume, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(resume, "SHARE", math.inf)


def run(settings, folder, left=10**6, seeds=(0, 3), held_out=HELD_OUT, key="k", say=lambda text: None):
    store = Cut(folder, key, say)
    store.left = left
    rows = []
    replicas = training.train_block(
        seeds, FEW, held_out, settings, CPU, on_epoch=lambda epoch, own: rows.extend(own), say=say, resume=store
    )
    return replicas, rows


def assert_equal(first, second):
    for one, other in zip(first, second, strict=True):
        assert checkpoint.digest(one.parameters) == checkpoint.digest(other.parameters)
        assert json.dumps(one.history) == json.dumps(other.history)
        assert vars(one) | {"parameters": 0, "history": 0} == vars(other) | {"parameters": 0, "history": 0}


CASES = [
    (MAXOUT, {"averaging": 0.9, "momentum": 0.5}, HELD_OUT),
    (MAXOUT, {"optimizer": "adamw", "lr": 0.003}, HELD_OUT),
    (SIGMOID, {"objective": NOISE, "weight_decay": 0.01}, None),
    (CONVOLUTIONAL, {"pad": 1, "flip": True}, HELD_OUT),
    (RESIDUAL, {"objective": {"kind": "penalty", "p": 2.0, "eps": 0.1}, "max_norm": None}, None),
    (SIGMOID, {"lr": 1e38, "max_norm": None}, None),
    (MAXOUT, PATIENT | {"retrain": "none"}, HELD_OUT),
    *((MAXOUT, PATIENT | {"retrain": kind}, None) for kind in ("fresh", "continue", "continue_without_dropout")),
]


@pytest.mark.parametrize(("model", "changes", "held_out"), CASES)
def test_cut_off_anywhere_it_ends_as_if_it_had_not_been(tmp_path, model, changes, held_out):
    changes = {"epochs": 3} | changes
    settings = spec(model, changes.pop("objective", None), n_stop=60, **changes)
    whole, rows = run(settings, tmp_path / "whole", held_out=held_out)
    for left in range(1, len(rows) + 1, 1 if len(rows) < 8 else 3):
        folder, said = tmp_path / str(left), []
        with pytest.raises(CutError):
            run(settings, folder, left, held_out=held_out)
        replicas, later = run(settings, folder, held_out=held_out, say=said.append)
        assert_equal(replicas, whole)
        assert len(later) == len(rows) - left, "no epoch is trained twice"
        assert any("taken up again after epoch" in text for text in said)


def test_cut_off_again_and_again(tmp_path):
    """The seeds of a block may also be shared out otherwise when it is taken up."""
    settings = spec(MAXOUT, epochs=4)
    whole, _ = run(settings, tmp_path / "whole", seeds=(0, 1, 2))
    for left in (2, 3, 1):
        with pytest.raises(CutError):
            run(settings, tmp_path / "cut", left, seeds=(0, 1, 2))
    both, rows = run(settings, tmp_path / "cut", seeds=(0, 1))
    (last,), more = run(settings, tmp_path / "cut", seeds=(2,))
    assert_equal([*both, last], whole)
    assert len(rows) + len(more) == 3 * 4 - 6


def test_seconds_before_interruptions_count(tmp_path, monkeypatch):
    state, now = Stack([0], FEW, None, spec(MAXOUT)).state(), [0.0]
    monkeypatch.setattr(resume.time, "monotonic", lambda: now[0])
    for seconds, total in ((40, 40), (10, 50), (2, 52)):
        store = Resume(tmp_path, "k")
        store.load([0])
        now[0] += seconds
        assert store.seconds == total
        store.keep([0], state, True)


def test_stacked_replicas_are_taken_up_together(tmp_path):
    settings = spec(MAXOUT, NOISE)
    whole, half = (Stack([0, 1], FEW, None, settings) for _ in range(2))
    half.run_epoch()
    Resume(tmp_path, "k").keep([0, 1], half.state(), True)
    again = Stack([0, 1], FEW, None, settings)
    again.restore(Resume(tmp_path, "k").load([0, 1]))
    again.run_epoch()
    for _ in range(2):
        whole.run_epoch()
    assert_equal(again.replicas(), whole.replicas())
    assert Resume(tmp_path, "k").load([0]) is None


def test_a_state_does_not_change_with_what_it_was_taken_from():
    stack = Stack([0], FEW, None, spec(MAXOUT, averaging=0.5))
    stack.run_epoch()
    state = stack.state()
    before = {name: value.clone() for name, value in state.tensors.items()}
    facts = json.dumps(state.facts)
    stack.run_epoch()
    assert all(torch.equal(value, before[name]) for name, value in state.tensors.items())
    assert json.dumps(state.facts) == facts


def test_only_a_state_of_the_same_key_is_used(tmp_path):
    settings, said = spec(MAXOUT), []
    with pytest.raises(CutError):
        run(settings, tmp_path, 1)
    _, rows = run(settings, tmp_path, key="other", say=said.append)
    assert len(rows) == 2 * 2
    assert said == [
        f"{tmp_path}/seed-0.safetensors is of other settings, data, code, device or PyTorch, and is not used"
    ]


@pytest.mark.parametrize("spoil", [lambda content: content[:100], lambda content: b"", lambda content: b"x" * 1000])
def test_a_damaged_state_is_not_used(tmp_path, spoil):
    settings, said = spec(MAXOUT), []
    with pytest.raises(CutError):
        run(settings, tmp_path, 1)
    file = tmp_path / "seed-0.safetensors"
    file.write_bytes(spoil(file.read_bytes()))
    replicas, rows = run(settings, tmp_path, say=said.append)
    assert len(rows) == 2 * 2
    assert len(said) == 1
    assert said[0].startswith(f"the state of training is not used: {file} is damaged")
    assert_equal(replicas, run(settings, tmp_path / "whole")[0])


def test_training_goes_on_where_its_state_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("no folder")
    said = []
    replicas, _ = run(spec(MAXOUT), tmp_path / "file" / "resume", say=said.append)
    assert len(said) == 1
    assert said[0].startswith("the state of training cannot be saved in ")
    assert_equal(replicas, run(spec(MAXOUT), tmp_path / "whole")[0])


def test_states_are_written_as_often_as_costs_little(tmp_path, monkeypatch):
    now, writes = [0.0], []
    monkeypatch.setattr(resume.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(resume, "LEAST_SECONDS", 1.0)
    monkeypatch.setattr(resume, "SHARE", 0.02)

    def write(path, values, about):
        writes.append(now[0])
        now[0] += 0.1

    monkeypatch.setattr(resume.tensors, "write", write)
    store = Resume(tmp_path, "k")
    while now[0] < 20:
        now[0] += 0.25
        store.keep([0], resume.State({}, {}), finished=False)
    assert writes[0] == pytest.approx(1.0)
    assert all(later - earlier >= 5 for earlier, later in itertools.pairwise(writes))
    store.keep([0], resume.State({}, {}), finished=True)
    assert writes[-1] == pytest.approx(now[0] - 0.1)


def test_what_is_cleared(tmp_path):
    folder = tmp_path / "resume" / "a" / "b"
    store = Resume(folder, "k")
    for seeds in ([0], [1], [2, 3]):
        store.keep(seeds, resume.State({"x": torch.ones(1)}, {}), True)
    (folder / ".abc-seed-1.safetensors").write_text("half")
    states.clear(folder, [1, 2])
    assert sorted(file.name for file in folder.iterdir()) == [".seed-0.safetensors.sha256", "seed-0.safetensors"]
    states.clear(folder, [0])
    states.clear(folder, [0])
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_interrupts_once(number):
    with pytest.raises(commands.Interrupted, match=number.name) as caught, commands.interruptible():
        signal.raise_signal(number)
    for later in (signal.SIGTERM, signal.SIGINT):
        signal.raise_signal(later)
    assert caught.value.code == 128 + number
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_without_a_signal_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with commands.interruptible():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    with pytest.raises(KeyError), commands.interruptible():
        raise KeyError
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before

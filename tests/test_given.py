"""Networks that were trained elsewhere: weights and exported programs, and which of them are refused."""

import re

import pytest
import torch
from configs import edited, mistakes
from given import export
from torch import nn

from gradreg.attacks.steepest import multi_step
from gradreg.models import checkpoint, given
from gradreg.models.checks import check_given
from gradreg.planning.experiment import Experiment
from gradreg.planning.jobs import Jobs, digest
from gradreg.planning.specs import ModelSpec
from gradreg.storage import tensors

SHAPE, CLASSES = (1, 8, 8), 10
SPEC, PROGRAM = ModelSpec("sigmoid_mlp", settings={"units": [8]}), ModelSpec("program")
X, Y = torch.rand(7, *SHAPE, generator=torch.Generator().manual_seed(0)), torch.arange(7)


def convolutional():
    """A network that cannot be trained here: batch normalisation, dropout, integers among its constants."""
    torch.manual_seed(1)
    layers = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(144, CLASSES)
    network = nn.Sequential(*layers)
    network(X)  # running statistics that are not those of the start
    return network.eval()


def saved(spec, state, tmp_path):
    """The network of a cell into which a state was taken."""
    checkpoint.save(tmp_path / "model.safetensors", state, spec, SHAPE, CLASSES)
    return checkpoint.load(tmp_path / "model.safetensors")


def test_weights_give_the_network_that_they_are_of(tmp_path):
    original = checkpoint.build(SPEC, SHAPE, CLASSES, torch.Generator().manual_seed(3))
    tensors.write(tmp_path / "w.safetensors", {n: v.double() for n, v in original.named_parameters()})
    state = given.state(str(tmp_path / "w.safetensors"), SPEC, SHAPE, CLASSES)
    assert torch.equal(saved(SPEC, state, tmp_path)(X), original(X))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.popitem(), "is nothing, not ("),
        (lambda state: state.update(extra=torch.zeros(2)), "extra is (2,), not nothing"),
        (lambda state: state.update({name: torch.zeros(3, 3) for name in state}), "is (3, 3), not ("),
    ],
)
def test_weights_of_another_model_are_refused(tmp_path, change, message):
    state = dict(checkpoint.build(SPEC, SHAPE, CLASSES).named_parameters())
    change(state)
    file = str(tmp_path / "w.safetensors")
    tensors.write(file, state)
    with pytest.raises(ValueError, match="has not the weights of this sigmoid_mlp") as caught:
        given.state(file, SPEC, SHAPE, CLASSES)
    assert message in str(caught.value)


def test_a_program_answers_and_has_the_gradients_of_the_network_it_was(tmp_path):
    original, file = convolutional(), str(tmp_path / "theirs.pt2")
    export(original, SHAPE, file)
    network = saved(PROGRAM, given.state(file, PROGRAM, SHAPE, CLASSES), tmp_path)
    assert torch.allclose(network(X), original(X), atol=1e-6)
    check_given(network, X, CLASSES)
    moved = [multi_step(one, X, Y, 2, 0.5, 5) for one in (network, original.requires_grad_(False))]
    assert torch.allclose(*moved, atol=1e-5)


class Linear(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 10))


class Random(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :CLASSES] + torch.rand(CLASSES)


class Across(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :CLASSES] + x.mean()


class Rounded(nn.Module):
    def forward(self, x):
        return (x.flatten(1)[:, :CLASSES] * 5).round()


class Detached(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :CLASSES].detach() * 5


class Rooted(nn.Module):
    def forward(self, x):
        z = x.flatten(1)[:, :CLASSES] - 0.5
        return torch.where(z > 0, z.sqrt(), 0)


class Two(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :CLASSES], x


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (Random(), {}, "answers the same images differently each time"),
        (Across(), {}, "depends on the other images of the batch"),
        (Rounded(), {}, "no gradient for the images"),
        (Detached(), {}, "no gradient for the images"),
        (Rooted(), {}, "the gradient of its answers for the images is not finite"),
        (Two(), {}, "answers 7 images with a tuple, not with logits (7, 10)"),
        (Linear(), {"dynamic_shapes": ({0: torch.export.Dim("batch", min=1, max=64)},)}, "cannot answer 500 images"),
        (nn.Flatten(), {}, "answers 7 images with (7, 64), not with logits (7, 10)"),
        (Linear(), {"dynamic_shapes": None}, "cannot answer 7 images"),
        (convolutional().train(), {}, "answers the same images differently each time"),
    ],
)
def test_programs_that_cannot_be_attacked_rightly_are_refused(tmp_path, network, options, message):
    file = str(tmp_path / "theirs.pt2")
    export(network, SHAPE, file, **options)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        check_given(given.network(file, PROGRAM, SHAPE, CLASSES), X, CLASSES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["theirs.pt2", "theirs.safetensors"])
def test_a_file_of_something_else_is_refused_in_a_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"no network")
    with pytest.raises(ValueError, match=name) as caught:
        given.network(str(tmp_path / name), SPEC if "safe" in name else PROGRAM, SHAPE, CLASSES)
    assert "\n" not in str(caught.value)


def test_mistakes_in_a_config_are_told_with_their_place(tmp_path):
    file = tmp_path / "theirs.safetensors"
    file.touch()

    def told(**networks):
        (line,) = mistakes(edited(networks=networks))
        return line

    assert "there is an objective of this name" in told(plain={"file": str(file), "model": "net"})
    assert "networks.a.model: other is none of the models net" in told(a={"file": str(file), "model": "other"})
    assert "x.pth ends neither in .safetensors nor in .pt2" in told(a={"file": "x.pth", "model": "net"})
    assert "there is an objective of this name" in told(perturb={"file": str(file), "model": "net"})
    assert "taken by the baseline" in told(baseline={"file": str(file), "model": "net"})
    whitened = {"net": {"kind": "sigmoid_mlp", "units": [8], "input": "whitened"}}
    (line,) = mistakes(edited(models=whitened, networks={"a": {"file": str(file), "model": "net"}}))
    assert "net whitens its images" in line


def test_a_network_is_planned_as_one_seed_and_nothing_else_changes(tmp_path):
    before = Experiment(edited(seeds=3))
    after = Experiment(edited(seeds=3, networks={"theirs": {"file": str(tmp_path / "theirs.pt2"), "model": "net"}}))
    new = [run for run in (*after.selection, *after.final) if run.given]
    assert [run.path for run in new] == [f"digits-{n}/net/theirs/p-given/eps-0" for n in (900, 1297)]
    assert {after.plan(run).seeds for run in new} == {1}
    assert all(after.plan(run).training.model == PROGRAM for run in new)
    assert {run: plan for run, plan in after.final.items() if not run.given} == before.final
    assert list(before.blocks()) == list(after.blocks())
    assert list(after.blocks(given=True)) == [("digits", (0,), ["1297", "900"])]


def test_a_file_that_is_gone_or_is_another_changes_the_jobs_parameters(tmp_path):
    file = tmp_path / "theirs.pt2"
    planned = Experiment(edited(networks={"theirs": {"file": str(file), "model": "net"}}))
    assert planned.missing() == [str(file)]  # a finished experiment can be read without it
    settings = []
    for content in (b"one", b"two"):
        file.write_bytes(content)
        digest.cache_clear()
        run = next(run for run in planned.final if run.given)
        jobs = Jobs(planned, {}.get)
        settings.append(jobs.settings("take")({**vars(run), "n_train": str(run.n_train)}))
    assert planned.missing() == []
    assert settings[0] != settings[1]

"""Models, objectives and attacks that somebody brings: refused by name before work begins, or believed rightly."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_training import TRAIN, spec
from torch import nn

from gradreg import registry
from gradreg.attacks import checks
from gradreg.evaluation import measure
from gradreg.models import layers
from gradreg.norms import norm
from gradreg.objectives.plain import plain
from gradreg.planning.specs import AttackSpec
from gradreg.training import block


@pytest.fixture
def bring(monkeypatch):
    """Register a function under the kind ``brought``, of models, objectives or attacks."""
    real = registry.function

    def register(section, function, **registration):
        monkeypatch.setitem(registry.section(section), "brought", {"function": "x.y"} | registration)
        monkeypatch.setattr(
            registry,
            "function",
            lambda name, kind: function if (name, kind) == (section, "brought") else real(name, kind),
        )

    return register


# Models


class Layer(nn.Module):
    """A linear layer between images and logits, with a fault."""

    def __init__(self, fault):
        super().__init__()
        self.fault, self.linear, self.calls = fault, nn.Linear(64, 10), 0
        if fault == "attribute":
            self.scale = torch.ones(())
        elif fault == "frozen":
            self.linear.bias.requires_grad_(False)
        elif fault == "half":
            self.linear.half()
        elif fault == "shared":
            self.other = self.linear
        elif fault == "unused":
            self.other = nn.Parameter(torch.ones(3))
        elif fault == "drawn":
            self.pixels = torch.randperm(64, device="cpu").tolist()
        elif fault == "valued":
            self.pixels = torch.arange(64).tolist()

    def forward(self, x):
        x = x.flatten(-3)
        if self.fault == "drawn":
            x = x[:, self.pixels]
        if self.fault == "counts":
            self.calls += 1
            x = x * self.calls
        if self.fault == "mode" and not self.training:
            x = x / 2
        if self.fault == "batch":
            x = x - x.mean(0)
        if self.fault == "detached":
            x = x.detach()
        logits = self.linear(x.to(self.linear.weight.dtype)).float()
        if self.fault == "shape":
            return logits[:, :9]
        return logits / 0 if self.fault == "infinite" else logits


FAULTS = {
    "attribute": "the tensor scale is no parameter: it would be neither saved nor moved",
    "frozen": "linear.bias has requires_grad = False; frozen parameters are not supported",
    "half": "linear.weight is of float16; parameters must be float32",
    "shared": "linear.weight and other.weight are one parameter; shared weights are not supported",
    "unused": "its answers do not depend on other",
    "drawn": "it answers otherwise once saved and loaded",
    "valued": "it cannot be built without values for its tensors, as loading does",
    "counts": "it answers the same images differently each time",
    "mode": "it answers otherwise in evaluation mode than in training mode",
    "batch": "its answer to an image depends on the other images of the batch",
    "detached": "its answers have no gradient for the images",
    "shape": r"it answers 8 images with \(8, 9\), not with logits \(8, 10\)",
    "infinite": "its answers are not finite",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_model_that_could_not_be_trained_saved_or_attacked_is_refused(bring, fault):
    bring("models", lambda shape, classes: Layer(fault))
    with pytest.raises(ValueError, match=f"model of kind brought: {FAULTS[fault]}"):
        block.check(TRAIN, spec({"kind": "brought"}))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.Dropout(0.5), "differently each time; for dropout use gradreg.models.layers.Dropout"),
        (nn.BatchNorm1d(64), "1.running_mean is a buffer; batch normalisation and other layers"),
        (nn.BatchNorm1d(64, track_running_stats=False), "depends on the other images of the batch"),
    ],
)
def test_layers_that_do_not_fit_are_refused_with_what_fits(bring, layer, message):
    bring("models", lambda shape, classes: nn.Sequential(nn.Flatten(-3), copy.deepcopy(layer), nn.Linear(64, 10)))
    with pytest.raises(ValueError, match=message):
        block.check(TRAIN, spec({"kind": "brought"}))


def test_a_sound_model_is_not_refused(bring):
    bring(
        "models",
        lambda shape, classes: nn.Sequential(
            nn.Flatten(-3), layers.Dropout((64,), 0.8, rescale=True), nn.Linear(64, 10), nn.LayerNorm(10)
        ),
    )
    state = torch.get_rng_state()
    block.check(TRAIN, spec({"kind": "brought"}))
    assert torch.equal(torch.get_rng_state(), state)


def test_training_by_itself_refuses_what_cannot_be_saved(bring):
    """Without ``check``, too."""
    bring("models", lambda shape, classes: nn.Sequential(nn.Flatten(-3), nn.BatchNorm1d(64), nn.Linear(64, 10)))
    with pytest.raises(ValueError, match=r"model of kind brought: 1\.running_mean is a buffer"):
        block.train_block([0], TRAIN, None, spec({"kind": "brought"}), torch.device("cpu"))


# Objectives


def returns(change):
    def objective(forward, params, x, y, *, p=None, eps=None):
        loss, logits = plain(forward, params, x, y)
        return change(loss, logits)

    return objective


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda loss, logits: loss, "it must return two tensors, the loss and the logits"),
        (lambda loss, logits: (loss.item(), logits), "it must return two tensors, the loss and the logits"),
        (
            lambda loss, logits: (logits.sum(1), logits),
            r"its loss for 8 images has shape \(8,\); it must be one number",
        ),
        (lambda loss, logits: (loss, logits[:, 0]), r"its logits for 8 images have shape \(8,\), not \(8, 10\)"),
        (lambda loss, logits: (loss.detach(), logits), "its loss does not depend on the weights"),
    ],
)
def test_an_objective_that_returns_something_else_is_refused(bring, change, message):
    bring("objectives", returns(change), eps="factor")
    with pytest.raises(ValueError, match=f"objective of kind brought: {message}"):
        block.check(TRAIN, spec(objective={"kind": "brought"}))


def test_a_model_without_second_derivatives_is_refused_where_they_are_needed(bring):
    class Attention(nn.Module):
        def __init__(self, image_shape, classes):
            super().__init__()
            self.last = nn.Linear(8, classes)

        def forward(self, x):
            rows = x.flatten(1, 2)[:, None]
            return self.last(nn.functional.scaled_dot_product_attention(rows, rows, rows).mean((1, 2)))

    bring("models", Attention)
    block.check(TRAIN, spec({"kind": "brought"}))
    needs = {"kind": "penalty", "p": 2.0, "eps": 0.3}
    with pytest.raises(
        ValueError, match=r"objective of kind penalty: it does not work with this network: derivative for"
    ):
        block.check(TRAIN, spec({"kind": "brought"}, needs))


# Attacks

P = st.sampled_from([1.0, 1.3, 2.0, 4.0, math.inf])
LENGTH = st.floats(1e-4, 0.5)


@given(P, LENGTH, st.integers(0, 2**32), st.floats(1.001, 3))
def test_what_leaves_its_ball_is_refused_and_what_stays_is_not(p, eps, seed, factor):
    generator = torch.Generator().manual_seed(seed)
    x = 0.5 * torch.ones(3, 1, 4, 4)
    s = torch.randn(x.shape, generator=generator).double()
    s *= (eps / norm(s, p)).view(-1, 1, 1, 1)
    inside = (x + s).float()
    if bool(((inside >= 0) & (inside <= 1)).all()):
        assert checks.check_perturbed("a", x, inside, p, eps) is inside
    outside = (x + factor * s).float()
    if bool(((outside >= 0) & (outside <= 1)).all()) and eps * (factor - 1) > 1e-5:
        with pytest.raises(checks.AttackError, match="attack a left its ball"):
            checks.check_perturbed("a", x, outside, p, eps)


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (lambda x: x + 0.3, r"attack brought left its ball: 1\.2 from the image in the 2-norm, eps is 0\.2"),
        (lambda x: x - 0.9, r"attack brought left \[0, 1\]: its images reach from -0\.4 to"),
        (lambda x: x * math.nan, "attack brought returned values that are not finite"),
        (lambda x: x[:1], r"attack brought returned \(1, 1, 4, 4\) for images"),
    ],
)
def test_an_attack_that_returns_something_else_is_refused(bring, network, attack, message):
    bring("attacks", lambda network, x, y, p, eps: attack(x))
    x = 0.5 * torch.ones(5, 1, 4, 4)
    y = network(x).argmax(1)
    settings = AttackSpec.of(
        {"images": 5, "steps": 2, "batch_size": 5, "eps": {"2": ["0.2"]}, "others": {"b": {"kind": "brought"}}}
    )
    with pytest.raises(checks.AttackError, match=message):
        measure.perturbations(network, x, y, y == y, 2.0, 0.2, settings)

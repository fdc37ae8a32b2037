"""Objectives against closed forms and finite differences."""

import math

import pytest
import torch
import torch.nn.functional as F

from gradreg import objectives
from gradreg.norms import norm

GENERATOR = torch.Generator().manual_seed(0)
W = torch.randn(3, 6, generator=GENERATOR, dtype=torch.float64)
V = torch.randn(6, 4, generator=GENERATOR, dtype=torch.float64)
PARAMS = {"w": W, "v": V}
X = torch.rand(5, 4, generator=GENERATOR, dtype=torch.float64)
Y = torch.tensor([0, 1, 2, 1, 0])


def smooth(params, x):
    """A net with one smooth hidden layer."""
    return torch.tanh(x @ params["v"].T) @ params["w"].T


def test_plain_is_cross_entropy():
    loss, logits = objectives.plain(smooth, PARAMS, X, Y)
    torch.testing.assert_close(loss, F.cross_entropy(smooth(PARAMS, X), Y))
    torch.testing.assert_close(logits, smooth(PARAMS, X))


def test_input_gradient_is_per_sample():
    gradient = objectives.input_gradient(smooth, PARAMS, X, Y)
    h = 1e-6
    for i in range(len(X)):
        for j in range(X.shape[1]):
            moved = X.clone()
            moved[i, j] += h
            slope = (
                F.cross_entropy(smooth(PARAMS, moved), Y, reduction="sum")
                - F.cross_entropy(smooth(PARAMS, X), Y, reduction="sum")
            ) / h
            assert gradient[i, j].item() == pytest.approx(slope.item(), abs=1e-5)


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0, math.inf])
def test_perturb_penalises_the_dual_norm_to_first_order(p):
    """L(x + s) - L(x) - eps ||g||_q shrinks with the square of eps."""
    q = 1.0 if math.isinf(p) else (math.inf if p == 1 else p / (p - 1))
    gradient = objectives.input_gradient(smooth, PARAMS, X, Y)
    gaps = []
    for eps in (1e-2, 1e-3):
        loss, _ = objectives.perturb(smooth, PARAMS, X, Y, p=p, eps=eps)
        first_order = objectives.plain(smooth, PARAMS, X, Y)[0] + eps * norm(gradient, q).mean()
        gaps.append(abs((loss - first_order).item()))
    assert math.log10(gaps[0] / gaps[1]) == pytest.approx(2, abs=0.1)


def test_alpha_mixes_the_two_losses():
    clean = objectives.plain(smooth, PARAMS, X, Y)[0]
    moved = objectives.perturb(smooth, PARAMS, X, Y, p=2.0, eps=0.3)[0]
    mixed = objectives.perturb(smooth, PARAMS, X, Y, p=2.0, eps=0.3, alpha=0.25)[0]
    torch.testing.assert_close(mixed, 0.25 * clean + 0.75 * moved)


def test_the_step_is_a_constant_of_the_gradient():
    """The gradient for the parameters is that of the loss at fixed x + s."""
    step = objectives.steepest_step(objectives.input_gradient(smooth, PARAMS, X, Y), 2.0, 0.3)
    fixed = torch.func.grad(lambda params: objectives.plain(smooth, params, X + step, Y)[0])(PARAMS)
    found = torch.func.grad(lambda params: objectives.perturb(smooth, params, X, Y, p=2.0, eps=0.3)[0])(PARAMS)
    for name in PARAMS:
        torch.testing.assert_close(found[name], fixed[name])


@pytest.mark.parametrize("settings", [{"kind": "plain"}, {"kind": "perturb", "p": 2.0, "alpha": 0.5}])
def test_vmap_over_replicas_equals_each_alone(settings):
    objective = objectives.bind(smooth, **settings)
    stacked = {name: torch.stack([value, 2 * value]) for name, value in PARAMS.items()}
    losses, _ = torch.func.vmap(lambda params: objective(params, X, Y, 0.2))(stacked)
    for i in range(2):
        alone = objective({name: value[i] for name, value in stacked.items()}, X, Y, 0.2)[0]
        torch.testing.assert_close(losses[i], alone)


def test_unknown_objectives_are_refused():
    with pytest.raises(ValueError, match="no objective 'perturbed'"):
        objectives.bind(smooth, kind="perturbed", p=2.0)
    with pytest.raises(ValueError, match="no objective 'perturb' with p = None"):
        objectives.bind(smooth, kind="perturb")

"""Objectives under what differentiates and transforms them: finite differences, vmap, compilation, functional_call."""

import math
import sys

import pytest
import torch
import torch.nn.functional as F
from family import DRAW, EVERY, NORMS, PARAMS, X, Y, bound, smooth, value
from torch.utils._python_dispatch import TorchDispatchMode

import gradreg
from gradreg.models.layers import Dropout
from gradreg.norms import steepest_step, steepest_step_in_box, steepest_step_in_union
from gradreg.objectives.differentiation import by_autograd, gradients
from gradreg.objectives.divergence import answers

HELD = {step.__name__: step for step in (steepest_step, steepest_step_in_box, steepest_step_in_union, answers)}


@pytest.fixture(params=NORMS, ids=lambda p: f"p={p:g}")
def p(request):
    return request.param


def replace(monkeypatch, name, function):
    """Put a function where objectives take their steps, or the network's own answers."""
    for module in [module for name, module in sys.modules.items() if name.startswith("gradreg.objectives.")]:
        if hasattr(module, name):
            monkeypatch.setattr(module, name, function)


def recorded(function):
    """The function, and one that gives the same results in the same order, for ever, whatever it is given."""
    results = []

    def record(*arguments):
        results.append(function(*arguments).detach())
        return results[-1]

    def replay(*arguments):
        results.append(results.pop(0))
        return results[-1]

    return record, replay


@pytest.mark.parametrize("name", EVERY)
def test_gradients_match_finite_differences(name, p, monkeypatch):
    """What the formula holds constant is recorded once and replayed; all else is differentiated."""
    objective = bound(name, p)
    if not objective.settings.get("differentiate"):
        held = {name: recorded(function) for name, function in HELD.items()}
        for constant, (record, _) in held.items():
            replace(monkeypatch, constant, record)
        value(name, p)
        for constant, (_, replay) in held.items():
            replace(monkeypatch, constant, replay)
    found = torch.func.grad(lambda params: value(name, p, params))(PARAMS)
    h = 1e-6
    for key, tensor in PARAMS.items():
        for index in torch.cartesian_prod(*(torch.arange(n) for n in tensor.shape)).tolist():
            ends = []
            for sign in (1, -1):
                moved = tensor.clone()
                moved[tuple(index)] += sign * h
                ends.append(value(name, p, PARAMS | {key: moved}).item())
            assert found[key][tuple(index)].item() == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-4, abs=1e-7)


def test_last_gradients_are_those_that_can_be_differentiated_but_for_their_formulas():
    weight = torch.linspace(0.5, 2, 4, dtype=torch.float64)

    def value(at):
        weight, x = at
        hidden = F.silu(F.group_norm(x.view(5, 4, 1, 1).expand(5, 4, 3, 3) ** 2, 2, weight))
        return hidden.square().mean(), hidden

    seen = set()

    class Names(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            seen.add(function.__name__.split(".")[0])
            return function(*args, **(kwargs or {}))

    with Names():
        found, (mean, hidden) = gradients(value, (weight, X))
    assert {"native_group_norm_backward", "silu_backward"} <= seen
    expected, (mean_, hidden_) = torch.func.grad_and_value(value, has_aux=True)((weight, X))
    for own, other in zip((*found, mean, hidden), (*expected, mean_, hidden_), strict=True):
        torch.testing.assert_close(own, other)
        assert not own.requires_grad


@pytest.mark.parametrize("name", EVERY)
def test_vmap_over_replicas_equals_each_alone(name, p):
    objective = bound(name, p)
    stacked = {key: torch.stack([tensor, 2 * tensor]) for key, tensor in PARAMS.items()}
    draws = torch.stack([DRAW, -DRAW])

    def step(params, draw):
        return torch.func.grad_and_value(lambda own: objective(smooth, own, X, Y, 0.2, draw)[0])(params)

    grads, losses_ = torch.func.vmap(step)(stacked, draws)
    for i in range(2):
        alone, loss = step({key: tensor[i] for key, tensor in stacked.items()}, draws[i])
        torch.testing.assert_close(losses_[i], loss)
        for key in PARAMS:
            torch.testing.assert_close(grads[key][i], alone[key])


def compiled():
    """Compiling takes seconds: perturb in all norms, the others in one, and in another one in the long tests."""
    exponents = [1.0, 1.5, 2.0, math.inf]
    for i, name in enumerate(EVERY):
        for j, p in enumerate(exponents):
            if name == "perturb" or j == i % 4:
                yield pytest.param(name, p)
            elif j == (i + 2) % 4:
                yield pytest.param(name, p, marks=pytest.mark.faults)


@pytest.mark.parametrize(("name", "p"), list(compiled()))
def test_compile_accepts_the_whole_step(name, p):
    torch._dynamo.reset()
    objective = bound(name, p)

    def step(params, draw, eps):
        return torch.func.grad_and_value(lambda own: objective(smooth, own, X, Y, eps, draw)[0])(params)

    arguments = (PARAMS, DRAW, torch.tensor(0.2, dtype=torch.float64))
    grads, loss = torch.compile(step, fullgraph=True, backend="aot_eager")(*arguments)
    expected, value_ = step(*arguments)
    torch.testing.assert_close(loss, value_)
    for key in PARAMS:
        torch.testing.assert_close(grads[key], expected[key])


@pytest.mark.parametrize("p", NORMS)
@pytest.mark.parametrize("name", EVERY)
def test_autograd_gives_the_gradients_of_torch_func(name, p):
    """Also of tensors that the loss does not depend on; inputs and parameters stay as they are."""
    objective, params = bound(name, p), PARAMS | {"unused": torch.ones(2, dtype=torch.float64)}

    def step(own):
        return objective(smooth, own, X, Y, 0.2, DRAW)

    with by_autograd():
        found, (loss, logits) = gradients(step, params)
    expected, (loss_, logits_) = gradients(step, params)
    torch.testing.assert_close((loss, logits), (loss_, logits_), rtol=1e-13, atol=0)
    for key in params:
        torch.testing.assert_close(found[key], expected[key], rtol=1e-12, atol=1e-15)
        assert not params[key].requires_grad
    assert not loss.requires_grad
    assert not logits.requires_grad
    with by_autograd():
        constant, _ = gradients(lambda own: (torch.ones(()), ()), params)
    assert not any(slope.any() for slope in constant.values())


@pytest.mark.parametrize("name", EVERY)
def test_nothing_is_left_changed(name):
    """In an ordinary training loop: grads come from backward alone; modes, generators and inputs stay."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3)).double().train()
    model[1].eval()
    params = dict(model.named_parameters())
    x, params_before = X.clone(), {key: tensor.detach().clone() for key, tensor in params.items()}
    random, enabled = torch.get_rng_state(), torch.is_grad_enabled()

    def forward(own, inputs):
        return torch.func.functional_call(model, dict(own), (inputs,))

    loss, _ = bound(name, 2.0)(forward, params, x, Y, 0.2, DRAW)
    assert all(tensor.grad is None for tensor in params.values())
    assert (model.training, model[1].training) == (True, False)
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.is_grad_enabled() == enabled
    assert not x.requires_grad
    assert torch.equal(x, X)
    loss.backward()
    alone = torch.func.grad(lambda own: bound(name, 2.0)(forward, own, X, Y, 0.2, DRAW)[0])(params_before)
    for key, tensor in params.items():
        torch.testing.assert_close(tensor.grad, alone[key])
        assert torch.equal(tensor, params_before[key])


@pytest.mark.parametrize("name", EVERY)
def test_all_passes_share_one_dropout_mask(name):
    """With a mask in the forward pass the objective is that of the network without the dropped units."""
    mask = torch.tensor([1.0, 0, 1, 1, 0, 2], dtype=torch.float64)
    layer = Dropout([6], keep=0.5, rescale=True)

    def masked(params, x):
        hidden = torch.func.functional_call(layer, {"mask": mask}, (torch.tanh(x @ params["v"].T),))
        return hidden @ params["w"].T

    def without(params, x):
        return smooth(params | {"w": params["w"] * mask}, x)

    found = bound(name, 2.0)(masked, PARAMS, X, Y, 0.2, DRAW)[0]
    torch.testing.assert_close(found, bound(name, 2.0)(without, PARAMS, X, Y, 0.2, DRAW)[0])


@pytest.mark.parametrize("p", [1.0, math.inf])
def test_a_piecewise_constant_step_is_not_differentiated(p):
    assert torch.equal(value("perturb-through", p), value("perturb", p))


@pytest.mark.parametrize("alpha", [0.0, 0.5])
@pytest.mark.parametrize("p", [1.5, 2.0, 3.0])
def test_a_sure_sample_leaves_the_differentiated_step_finite(p, alpha):
    """In single precision the gradient of a sample is denormal or zero where its logits are far apart."""
    generator = torch.Generator().manual_seed(0)
    params = {name: torch.randn(shape, generator=generator) for name, shape in (("v", (6, 4)), ("w", (2, 6)))}
    x = torch.rand(2, 4, generator=generator)
    logits = torch.tanh(x @ params["v"].T) @ params["w"].T
    y, gap = logits.argmax(1), (logits[0, 0] - logits[0, 1]).abs()
    for apart in range(60, 120):
        scale = torch.stack([apart / gap, torch.ones(())])

        def forward(params, x, scale=scale):
            return torch.tanh(x @ params["v"].T) @ params["w"].T * scale[:, None]

        def loss(params, forward=forward):
            return gradreg.perturb(forward, params, x, y, p=p, eps=0.3, alpha=alpha, differentiate=True)[0]

        gradients = torch.func.grad(loss)(params)
        assert all(value.isfinite().all() for value in gradients.values()), apart
        assert gradients["w"].abs().sum() > 0


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
def test_sure_answers_leave_every_gradient_finite(name, p):
    """In single precision, probabilities underflow where logits are far apart."""
    params, x, draw = {key: value.float() for key, value in PARAMS.items()}, X.float(), DRAW.float()
    for apart in (20, 60, 100, 105, 300):

        def forward(params, x, apart=apart):
            logits = smooth(params, x)
            return apart * logits / (logits.amax(1) - logits.amin(1)).detach().amin()

        def loss(values, forward=forward):
            return bound(name, p)(forward, values, x, Y, 0.2, draw)[0]

        slopes = torch.func.grad(loss)(params)
        assert all(value.isfinite().all() for value in slopes.values()), apart

"""Objectives against closed forms, finite differences and each other."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from gradreg import draws, models, objectives
from gradreg.norms import dual_exponent, norm, steepest_step

GENERATOR = torch.Generator().manual_seed(0)
W = torch.randn(3, 6, generator=GENERATOR, dtype=torch.float64)
V = torch.randn(6, 4, generator=GENERATOR, dtype=torch.float64)
PARAMS = {"w": W, "v": V}
X = torch.rand(5, 4, generator=GENERATOR, dtype=torch.float64)
Y = torch.tensor([0, 1, 2, 1, 0])
DRAW = draws.draw("ball", X.shape, GENERATOR, 2.0).double()
NORMS = [1.0, 1.5, 2.0, 3.0, math.inf]
EVERY = {
    "plain": {},
    "noise": {"distribution": "gaussian"},
    "noise-half": {"kind": "noise", "distribution": "sign", "alpha": 0.5},
    "perturb": {},
    "perturb-half": {"kind": "perturb", "alpha": 0.5},
    "perturb-through": {"kind": "perturb", "differentiate": True},
    "perturb-through-half": {"kind": "perturb", "differentiate": True, "alpha": 0.5},
    "perturb-start": {"kind": "perturb", "start": 2.0},
    "penalty": {},
    "penalty-squared": {"kind": "penalty", "power": 2},
    "finite-difference": {"kind": "finite_difference", "h": 0.1},
    "finite-difference-squared": {"kind": "finite_difference", "h": 0.1, "power": 2},
    "finite-difference-central": {"kind": "finite_difference", "h": 0.1, "order": 2},
    "finite-difference-central-squared": {"kind": "finite_difference", "h": 0.1, "order": 2, "power": 2},
    "adversarial": {"steps": 3},
    "adversarial-half": {"kind": "adversarial", "steps": 2, "alpha": 0.5},
    "adversarial-start": {"kind": "adversarial", "steps": 2, "start": 0.5},
    "alignment": {"weight": 0.3},
    "curvature": {"h": 0.1},
    "curvature-sign": {"kind": "curvature", "h": 0.1, "direction": "sign"},
}


def smooth(params, x):
    """A net with one smooth hidden layer."""
    return torch.tanh(x @ params["v"].T) @ params["w"].T


def bound(name, p):
    settings = {"kind": name} | EVERY[name]
    if name == "adversarial-start" and p not in objectives.EXACT_PROJECTIONS:
        del settings["start"]
    return objectives.bind(**settings, p=None if name == "plain" else p)


def value(name, p, params=PARAMS, eps=0.2):
    return bound(name, p)(smooth, params, X, Y, eps, DRAW)[0]


def losses(params=PARAMS, x=X):
    return F.cross_entropy(smooth(params, x), Y, reduction="none")


@pytest.fixture(params=NORMS, ids=lambda p: f"p={p:g}")
def p(request):
    return request.param


def gradient():
    return objectives.input_gradient(smooth, PARAMS, X, Y)


def test_plain_is_cross_entropy():
    loss, logits = objectives.plain(smooth, PARAMS, X, Y)
    torch.testing.assert_close(loss, F.cross_entropy(smooth(PARAMS, X), Y))
    torch.testing.assert_close(logits, smooth(PARAMS, X))


def test_input_gradient_is_per_sample():
    h = 1e-6
    for i in range(len(X)):
        for j in range(X.shape[1]):
            moved = X.clone()
            moved[i, j] += h
            slope = ((losses(x=moved) - losses()).sum() / h).item()
            assert gradient()[i, j].item() == pytest.approx(slope, abs=1e-5)


@pytest.mark.parametrize("power", [1, 2])
def test_the_penalty_is_the_loss_and_the_dual_norm_of_its_gradient(p, power):
    expected = (losses() + 0.2 * norm(gradient(), dual_exponent(p)) ** power).mean()
    found, logits = objectives.penalty(smooth, PARAMS, X, Y, p=p, eps=0.2, power=power)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(logits, smooth(PARAMS, X))


def slope(errors, steps):
    """The exponent of a power law, from its values at two steps."""
    return math.log(abs(errors[0] / errors[1])) / math.log(steps[0] / steps[1])


def test_perturb_and_penalty_agree_to_second_order(p):
    """The gap shrinks with the square of eps: slope 2 in log-log, between every two neighbours."""
    eps = [0.03, 0.01, 0.003, 0.001]
    gaps = [(value("perturb", p, eps=e) - value("penalty", p, eps=e)).item() for e in eps]
    for i in range(len(eps) - 1):
        assert slope(gaps[i : i + 2], eps[i : i + 2]) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(("order", "expected"), [(1, 1), (2, 2)])
@pytest.mark.parametrize("power", [1, 2])
def test_finite_differences_approach_the_penalty_at_their_order(p, order, expected, power):
    h = [0.03, 0.01, 0.003]
    exact = objectives.penalty(smooth, PARAMS, X, Y, p=p, eps=0.2, power=power)[0]
    gaps = [
        (objectives.finite_difference(smooth, PARAMS, X, Y, p=p, eps=0.2, h=k, order=order, power=power)[0] - exact)
        .abs()
        .item()
        for k in h
    ]
    for i in range(len(h) - 1):
        assert slope(gaps[i : i + 2], h[i : i + 2]) == pytest.approx(expected, abs=0.15)


@pytest.mark.parametrize(("eps", "h"), [(0.2, 0.2), (0.05, 0.2), (0.5, 0.2)])
def test_first_order_first_power_is_perturb_in_other_letters(p, eps, h):
    found = objectives.finite_difference(smooth, PARAMS, X, Y, p=p, eps=eps, h=h)[0]
    torch.testing.assert_close(found, objectives.perturb(smooth, PARAMS, X, Y, p=p, eps=h, alpha=1 - eps / h)[0])
    s = steepest_step(gradient(), p, h)
    torch.testing.assert_close(found, (losses() + eps * (losses(x=X + s) - losses()) / h).mean())


@pytest.mark.parametrize("kind", ["perturb", "adversarial", "noise"])
def test_alpha_mixes_the_two_losses(kind, p):
    settings = {"perturb": {}, "adversarial": {"steps": 2}, "noise": {"distribution": "gaussian"}}[kind]
    clean = objectives.plain(smooth, PARAMS, X, Y)[0]
    moved, logits = objectives.bind(kind, p=p, **settings)(smooth, PARAMS, X, Y, 0.3, DRAW)
    mixed, same = objectives.bind(kind, p=p, **settings, alpha=0.25)(smooth, PARAMS, X, Y, 0.3, DRAW)
    torch.testing.assert_close(mixed, 0.25 * clean + 0.75 * moved)
    torch.testing.assert_close(same, logits)


def test_noise_has_the_stated_norm(p):
    seen = []

    def watching(params, x):
        seen.append(x)
        return smooth(params, x)

    objectives.noise(watching, PARAMS, X, Y, p=p, eps=0.3, draw=DRAW)
    s = seen[-1] - X
    torch.testing.assert_close(norm(s, p), torch.full((5,), 0.3, dtype=torch.float64))
    torch.testing.assert_close(F.cosine_similarity(s, DRAW), torch.ones(5, dtype=torch.float64))


def test_a_random_start_moves_where_the_step_is_taken(p):
    """N-FGSM: x + r + step(x + r), not projected."""
    origin = X + 2 * 0.3 * DRAW
    s = steepest_step(objectives.input_gradient(smooth, PARAMS, origin, Y), p, 0.3)
    found = objectives.perturb(smooth, PARAMS, X, Y, p=p, eps=0.3, start=2.0, draw=DRAW)[0]
    torch.testing.assert_close(found, losses(x=origin + s).mean())
    with pytest.raises(ValueError, match="a random start needs draw"):
        objectives.perturb(smooth, PARAMS, X, Y, p=p, eps=0.3, start=2.0)


def test_one_ascent_step_is_the_steepest_step(p):
    s = objectives.ascend(smooth, PARAMS, X, Y, p=p, eps=0.3, steps=1)
    torch.testing.assert_close(s, steepest_step(gradient(), p, 0.3))


@pytest.mark.parametrize("steps", [2, 7])
def test_the_ascent_stays_in_the_ball_and_gains(p, steps):
    s = objectives.ascend(smooth, PARAMS, X, Y, p=p, eps=0.5, steps=steps)
    assert (norm(s, p) <= 0.5 * (1 + 1e-9)).all()
    assert losses(x=X + s).mean() > losses().mean()


@pytest.mark.parametrize("start", [0.0, 1.0])
@pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
def test_the_projected_ascent_maximises_a_linear_loss(p, start):
    """With one logit linear in x and a binary loss, the optimum in the ball is the steepest step."""

    def linear(params, x):
        return torch.stack([x @ params["a"], torch.zeros(len(x), dtype=x.dtype)], 1)

    params = {"a": torch.tensor([0.3, -1.0, 0.2, 0.05], dtype=torch.float64)}
    y = torch.ones(5, dtype=torch.int64)
    s = objectives.ascend(
        linear, params, X, y, p=p, eps=0.3, steps=40, step=0.25, start=start, draw=0.9 * DRAW / norm(DRAW, p)[:, None]
    )
    best = steepest_step(params["a"].expand_as(X), p, 0.3)
    torch.testing.assert_close((s * params["a"]).sum(1), (best * params["a"]).sum(1), rtol=1e-3, atol=0)


def test_frank_wolfe_has_neither_step_nor_start():
    for extra in ({"step": 1.0}, {"start": 0.5, "draw": DRAW}):
        with pytest.raises(ValueError, match="Frank-Wolfe, which has no step and no start"):
            objectives.ascend(smooth, PARAMS, X, Y, p=1.5, eps=0.1, steps=2, **extra)
    with pytest.raises(ValueError, match=r"start must be in \[0, 1\]"):
        objectives.ascend(smooth, PARAMS, X, Y, p=2.0, eps=0.1, steps=2, start=1.5, draw=DRAW)


def test_alignment_is_the_one_step_loss_and_one_minus_the_cosine(p):
    there = objectives.input_gradient(smooth, PARAMS, X + 0.2 * DRAW, Y)
    turn = 1 - F.cosine_similarity(gradient(), there)
    torch.testing.assert_close(value("alignment", p), value("perturb", p) + 0.3 * turn.mean())


@pytest.mark.parametrize("margin", [*range(80, 106, 2), 300])
def test_alignment_survives_vanishing_gradients(margin):
    """In single precision the gradient of a confident sample is denormal, then zero: no nan, no huge gradient."""

    def confident(params, x):
        return smooth(params, x) + margin * F.one_hot(Y, 3)

    params = {"w": W.float(), "v": V.float()}

    def loss(own):
        return objectives.alignment(
            confident,
            own,
            X.float(),
            Y,
            p=2.0,
            eps=0.1,
            weight=1.0,
            draw=DRAW.float(),
        )[0]

    grads = torch.func.grad(loss)(params)
    assert all(g.isfinite().all() for g in grads.values())
    assert max(g.abs().max() for g in grads.values()) < 10


def test_cure_is_curvature_along_the_sign():
    """Moosavi-Dezfooli et al. 2019: z = sign(g) / ||sign(g)||_2, the L2 norm of the change of the gradient."""
    g = gradient()
    z = g.sign() / g.sign().norm(dim=1, keepdim=True)
    change = (objectives.input_gradient(smooth, PARAMS, X + 0.1 * z, Y) - g) / 0.1
    expected = (losses() + 0.2 * change.norm(dim=1) ** 2).mean()
    torch.testing.assert_close(value("curvature-sign", 2.0), expected)
    with pytest.raises(ValueError, match="direction must be steepest or sign"):
        objectives.curvature(smooth, PARAMS, X, Y, p=2.0, eps=0.1, h=0.1, direction="random")


def test_curvature_of_a_quadratic_is_exact():
    """Logits quadratic in x near a point: for small h the difference is the Hessian times the direction."""
    z = steepest_step(gradient(), 2.0, 1.0)
    hessians = torch.stack(
        [
            torch.func.hessian(lambda x, i=i: F.cross_entropy(smooth(PARAMS, x[None]), Y[i : i + 1]))(X[i])
            for i in range(len(X))
        ]
    )
    expected = losses() + 0.2 * torch.einsum("nij,nj->ni", hessians, z).pow(2).sum(1)
    found = objectives.curvature(smooth, PARAMS, X, Y, p=2.0, eps=0.2, h=1e-5)[0]
    torch.testing.assert_close(found, expected.mean(), rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", EVERY)
def test_gradients_match_finite_differences(name, p, monkeypatch):
    """Steps that the formula holds constant are recorded once and replayed; all else is differentiated."""
    objective = bound(name, p)
    if not objective.settings.get("differentiate"):
        steps, real = [], steepest_step

        def recorded(g, exponent, eps):
            steps.append(real(g, exponent, eps).detach())
            return steps[-1]

        monkeypatch.setattr(objectives, "steepest_step", recorded)
        value(name, p)
        kept = list(steps)

        def replayed(g, exponent, eps):
            kept.append(kept.pop(0))
            return kept[-1]

        monkeypatch.setattr(objectives, "steepest_step", replayed)
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
        found, (mean, hidden) = objectives.gradients(value, (weight, X))
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


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, math.inf])
@pytest.mark.parametrize("name", EVERY)
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
    layer = models.Dropout([6], keep=0.5, rescale=True)

    def masked(params, x):
        hidden = torch.func.functional_call(layer, {"mask": params["mask"]}, (torch.tanh(x @ params["v"].T),))
        return hidden @ params["w"].T

    found = bound(name, 2.0)(masked, PARAMS | {"mask": mask}, X, Y, 0.2, DRAW)[0]
    torch.testing.assert_close(found, value(name, 2.0, PARAMS | {"w": W * mask}))


def test_unknown_objectives_and_settings_are_refused():
    for settings, message in (
        ({"kind": "perturbed", "p": 2.0}, "no objective 'perturbed'; there are plain, noise, perturb"),
        ({"kind": "perturb"}, "objective 'perturb': missing a required"),
        (
            {"kind": "penalty", "p": 2.0, "alpha": 0.5},
            "objective 'penalty': got an unexpected keyword argument 'alpha'",
        ),
        ({"kind": "plain", "p": 2.0}, "objective 'plain': got an unexpected keyword argument 'p'"),
        ({"kind": "noise", "p": 2.0}, "objective 'noise' needs a distribution"),
        (
            {"kind": "perturb", "p": 2.0, "distribution": "sign"},
            "objective 'perturb': got an unexpected keyword argument 'distribution'",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            objectives.bind(**settings)
    with pytest.raises(ValueError, match="order must be 1 or 2"):
        objectives.finite_difference(smooth, PARAMS, X, Y, p=2.0, eps=0.1, h=0.1, order=3)
    with pytest.raises(ValueError, match="power must be 1 or 2"):
        objectives.penalty(smooth, PARAMS, X, Y, p=2.0, eps=0.1, power=3)


@pytest.mark.parametrize("p", [1.0, math.inf])
def test_a_piecewise_constant_step_is_not_differentiated(p):
    assert torch.equal(value("perturb-through", p), value("perturb", p))

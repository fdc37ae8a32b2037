"""Objectives against closed forms and each other."""

import math

import pytest
import torch
import torch.nn.functional as F
from family import DRAW, NORMS, PARAMS, V, W, X, Y, losses, smooth, value

import gradreg
from gradreg.norms import dual_exponent, norm, project, steepest_step
from gradreg.objectives.binding import bind


@pytest.fixture(params=NORMS, ids=lambda p: f"p={p:g}")
def p(request):
    return request.param


def gradient():
    return gradreg.input_gradient(smooth, PARAMS, X, Y)


def test_plain_is_cross_entropy():
    loss, logits = gradreg.plain(smooth, PARAMS, X, Y)
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
    found, logits = gradreg.penalty(smooth, PARAMS, X, Y, p=p, eps=0.2, power=power)
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
    exact = gradreg.penalty(smooth, PARAMS, X, Y, p=p, eps=0.2, power=power)[0]
    gaps = [
        (gradreg.finite_difference(smooth, PARAMS, X, Y, p=p, eps=0.2, h=k, order=order, power=power)[0] - exact)
        .abs()
        .item()
        for k in h
    ]
    for i in range(len(h) - 1):
        assert slope(gaps[i : i + 2], h[i : i + 2]) == pytest.approx(expected, abs=0.15)


@pytest.mark.parametrize(("eps", "h"), [(0.2, 0.2), (0.05, 0.2), (0.5, 0.2)])
def test_first_order_first_power_is_perturb_in_other_letters(p, eps, h):
    found = gradreg.finite_difference(smooth, PARAMS, X, Y, p=p, eps=eps, h=h)[0]
    torch.testing.assert_close(found, gradreg.perturb(smooth, PARAMS, X, Y, p=p, eps=h, alpha=1 - eps / h)[0])
    s = steepest_step(gradient(), p, h)
    torch.testing.assert_close(found, (losses() + eps * (losses(x=X + s) - losses()) / h).mean())


@pytest.mark.parametrize("kind", ["perturb", "adversarial", "noise"])
def test_alpha_mixes_the_two_losses(kind, p):
    settings = {"perturb": {}, "adversarial": {"steps": 2}, "noise": {"distribution": "gaussian"}}[kind]
    clean = gradreg.plain(smooth, PARAMS, X, Y)[0]
    moved, logits = bind(kind, p=p, **settings)(smooth, PARAMS, X, Y, 0.3, DRAW)
    mixed, same = bind(kind, p=p, **settings, alpha=0.25)(smooth, PARAMS, X, Y, 0.3, DRAW)
    torch.testing.assert_close(mixed, 0.25 * clean + 0.75 * moved)
    torch.testing.assert_close(same, logits)


def test_noise_has_the_stated_norm(p):
    seen = []

    def watching(params, x):
        seen.append(x)
        return smooth(params, x)

    gradreg.noise(watching, PARAMS, X, Y, p=p, eps=0.3, draw=DRAW)
    s = seen[-1] - X
    torch.testing.assert_close(norm(s, p), torch.full((5,), 0.3, dtype=torch.float64))
    torch.testing.assert_close(F.cosine_similarity(s, DRAW), torch.ones(5, dtype=torch.float64))


def test_a_random_start_moves_where_the_step_is_taken(p):
    """N-FGSM: x + r + step(x + r), not projected."""
    origin = X + 2 * 0.3 * DRAW
    s = steepest_step(gradreg.input_gradient(smooth, PARAMS, origin, Y), p, 0.3)
    found = gradreg.perturb(smooth, PARAMS, X, Y, p=p, eps=0.3, start=2.0, draw=DRAW)[0]
    torch.testing.assert_close(found, losses(x=origin + s).mean())
    with pytest.raises(ValueError, match="a random start needs draw"):
        gradreg.perturb(smooth, PARAMS, X, Y, p=p, eps=0.3, start=2.0)


@pytest.mark.parametrize("box", ["clipped", "exact"])
@pytest.mark.parametrize("start", [0.0, 2.0])
def test_in_the_box_all_images_that_the_network_sees_are_in_it(p, box, start):
    seen = []

    def watching(params, x):
        seen.append(x.detach())
        return smooth(params, x)

    gradreg.perturb(watching, PARAMS, X, Y, p=p, eps=0.8, start=start, draw=DRAW, box=box)
    assert len(seen) == 2
    assert all(x.min() >= -1e-12 and x.max() <= 1 + 1e-12 for x in seen)


@pytest.mark.parametrize("box", ["clipped", "exact"])
def test_far_from_the_walls_the_box_changes_nothing(p, box):
    settings = {"p": p, "eps": 0.01, "start": 1.0, "draw": DRAW, "alpha": 0.3}
    x = 0.4 + 0.2 * X
    torch.testing.assert_close(
        gradreg.perturb(smooth, PARAMS, x, Y, box=box, **settings)[0],
        gradreg.perturb(smooth, PARAMS, x, Y, **settings)[0],
    )


def test_the_exact_step_in_the_box_gains_at_least_what_the_clipped_one_does(p):
    at = {
        box: gradreg.perturb(lambda params, x: x @ W.T[:4], PARAMS, X, Y, p=p, eps=0.8, box=box)[0]
        for box in ("clipped", "exact")
    }
    assert at["exact"] >= at["clipped"] - 1e-9


def test_what_the_box_cannot_be_is_refused():
    with pytest.raises(ValueError, match="box must be one of none, clipped, exact"):
        gradreg.perturb(smooth, PARAMS, X, Y, p=2, eps=0.1, box="open")
    with pytest.raises(ValueError, match="and none with differentiate"):
        gradreg.perturb(smooth, PARAMS, X, Y, p=2, eps=0.1, box="exact", differentiate=True)


@pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
def test_a_direction_is_that_of_another_norm_and_the_ball_stays(p):
    """As Jiang et al. for p = 1: a random start, one step along the gradient, and the projection."""
    s = gradreg.ascend(smooth, PARAMS, X, Y, p=p, eps=0.3, steps=1, start=1.0, draw=DRAW, step=0.5, direction=2.0)
    origin = 0.3 * DRAW
    step = 0.15 * F.normalize(gradreg.input_gradient(smooth, PARAMS, X + origin, Y).flatten(1)).view_as(X)
    torch.testing.assert_close(s, project(origin + step, p, 0.3))
    assert (norm(s, p) <= 0.3 * (1 + 1e-9)).all()


def test_one_ascent_step_is_the_steepest_step(p):
    s = gradreg.ascend(smooth, PARAMS, X, Y, p=p, eps=0.3, steps=1)
    torch.testing.assert_close(s, steepest_step(gradient(), p, 0.3))


@pytest.mark.parametrize("steps", [2, 7])
def test_the_ascent_stays_in_the_ball_and_gains(p, steps):
    s = gradreg.ascend(smooth, PARAMS, X, Y, p=p, eps=0.5, steps=steps)
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
    s = gradreg.ascend(
        linear, params, X, y, p=p, eps=0.3, steps=40, step=0.25, start=start, draw=0.9 * DRAW / norm(DRAW, p)[:, None]
    )
    best = steepest_step(params["a"].expand_as(X), p, 0.3)
    torch.testing.assert_close((s * params["a"]).sum(1), (best * params["a"]).sum(1), rtol=1e-3, atol=0)


def test_frank_wolfe_has_neither_step_nor_start():
    for extra in ({"step": 1.0}, {"start": 0.5, "draw": DRAW}, {"direction": 2.0}):
        with pytest.raises(ValueError, match="Frank-Wolfe, which has no step, no start and no direction"):
            gradreg.ascend(smooth, PARAMS, X, Y, p=1.5, eps=0.1, steps=2, **extra)
    with pytest.raises(ValueError, match=r"start must be in \[0, 1\]"):
        gradreg.ascend(smooth, PARAMS, X, Y, p=2.0, eps=0.1, steps=2, start=1.5, draw=DRAW)


def test_alignment_is_the_one_step_loss_and_one_minus_the_cosine(p):
    there = gradreg.input_gradient(smooth, PARAMS, X + 0.2 * DRAW, Y)
    turn = 1 - F.cosine_similarity(gradient(), there)
    torch.testing.assert_close(value("alignment", p), value("perturb", p) + 0.3 * turn.mean())


@pytest.mark.parametrize("margin", [*range(80, 106, 2), 300])
def test_alignment_survives_vanishing_gradients(margin):
    """In single precision the gradient of a confident sample is denormal, then zero: no nan, no huge gradient."""

    def confident(params, x):
        return smooth(params, x) + margin * F.one_hot(Y, 3)

    params = {"w": W.float(), "v": V.float()}

    def loss(own):
        return gradreg.alignment(confident, own, X.float(), Y, p=2.0, eps=0.1, weight=1.0, draw=DRAW.float())[0]

    grads = torch.func.grad(loss)(params)
    assert all(g.isfinite().all() for g in grads.values())
    assert max(g.abs().max() for g in grads.values()) < 10


def test_cure_is_curvature_along_the_sign():
    """Moosavi-Dezfooli et al. 2019: z = sign(g) / ||sign(g)||_2, the L2 norm of the change of the gradient."""
    g = gradient()
    z = g.sign() / g.sign().norm(dim=1, keepdim=True)
    change = (gradreg.input_gradient(smooth, PARAMS, X + 0.1 * z, Y) - g) / 0.1
    expected = (losses() + 0.2 * change.norm(dim=1) ** 2).mean()
    torch.testing.assert_close(value("curvature-sign", 2.0), expected)
    with pytest.raises(ValueError, match="direction must be steepest or sign"):
        gradreg.curvature(smooth, PARAMS, X, Y, p=2.0, eps=0.1, h=0.1, direction="random")


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
    found = gradreg.curvature(smooth, PARAMS, X, Y, p=2.0, eps=0.2, h=1e-5)[0]
    torch.testing.assert_close(found, expected.mean(), rtol=1e-4, atol=0)


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
            bind(**settings)
    with pytest.raises(ValueError, match="order must be 1 or 2"):
        gradreg.finite_difference(smooth, PARAMS, X, Y, p=2.0, eps=0.1, h=0.1, order=3)
    with pytest.raises(ValueError, match="power must be 1 or 2"):
        gradreg.penalty(smooth, PARAMS, X, Y, p=2.0, eps=0.1, power=3)


def probabilities(params=PARAMS, x=X):
    return smooth(params, x).softmax(1)


def kl(first, second):
    return (first * (first.log() - second.log())).sum(1)


def test_the_virtual_step_needs_no_label_and_is_steepest_for_the_divergence(p):
    at = (X + 0.1 * DRAW / norm(DRAW, p)[:, None]).requires_grad_()
    (g,) = torch.autograd.grad(kl(probabilities(), probabilities(x=at)).sum(), at)
    far = kl(probabilities(), probabilities(x=X + steepest_step(g, p, 0.3))).mean()
    result, logits = gradreg.virtual(smooth, PARAMS, X, Y, p=p, eps=0.3, h=0.1, weight=0.7, draw=DRAW)
    torch.testing.assert_close(result, losses().mean() + 0.7 * far)
    torch.testing.assert_close(logits, smooth(PARAMS, X))
    other = gradreg.virtual(smooth, PARAMS, X, (Y + 1) % 3, p=p, eps=0.3, h=0.1, weight=0.7, draw=DRAW)[0]
    torch.testing.assert_close(other - gradreg.plain(smooth, PARAMS, X, (Y + 1) % 3)[0], 0.7 * far)


def test_the_virtual_step_approaches_the_direction_of_greatest_curvature():
    """Of KL at s = 0, whose Hessian is J^T (diag(a) - a a^T) J: two classes, so that one direction has it all."""
    params = {"v": V, "w": W[:2]}
    a = smooth(params, X).softmax(1)
    gap = torch.func.vmap(torch.func.jacrev(lambda x: smooth(params, x[None])[0]))(X) @ torch.eye(4).double()
    direction = F.normalize(gap[:, 0] - gap[:, 1], dim=1)
    s = []

    def watching(params, x):
        s.append(x)
        return smooth(params, x)

    gradreg.virtual(watching, params, X, Y % 2, p=2.0, eps=0.3, h=1e-5, weight=1.0, draw=DRAW)
    cosine = F.cosine_similarity((s[-1] - X).detach(), direction).abs()
    torch.testing.assert_close(cosine, torch.ones(len(X), dtype=torch.float64), rtol=1e-3, atol=1e-3)
    assert (a > 0).all()


@pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
def test_trades_is_the_clean_loss_and_the_divergence_at_the_end_of_an_ascent(p):
    r = 0.5 * 0.3 * DRAW
    at = (X + r).requires_grad_()
    (g,) = torch.autograd.grad(kl(probabilities(), probabilities(x=at)).sum(), at)
    s = gradreg.project(r + steepest_step(g, p, 0.3), p, 0.3)
    settings = {"p": p, "eps": 0.3, "steps": 1, "start": 0.5, "draw": DRAW}
    result, logits = gradreg.trades(smooth, PARAMS, X, Y, weight=2.0, **settings)
    torch.testing.assert_close(result, losses().mean() + 2 * kl(probabilities(), probabilities(x=X + s)).mean())
    torch.testing.assert_close(logits, smooth(PARAMS, X))
    more = gradreg.trades(smooth, PARAMS, X, Y, weight=2.0, **settings | {"steps": 20})[0]
    assert more > result - 1e-3


def test_trades_needs_a_start():
    with pytest.raises(ValueError, match="start must be more than 0, got 0"):
        gradreg.trades(smooth, PARAMS, X, Y, p=2.0, eps=0.3, steps=1, start=0, draw=DRAW)


def test_trades_refuses_a_norm_in_which_no_ascent_starts_at_random():
    with pytest.raises(ValueError, match="no start"):
        gradreg.trades(smooth, PARAMS, X, Y, p=3.0, eps=0.3, steps=1, start=0.5, weight=1.0, draw=DRAW)


def test_sam_takes_the_steepest_step_of_all_weights(p):
    slopes = torch.func.grad(lambda params: losses(params).mean())(PARAMS)
    flat = torch.cat([slopes["w"].flatten(), slopes["v"].flatten()])[None]
    e = steepest_step(flat, p, 0.1)[0]
    moved = {"w": W + e[: W.numel()].view_as(W), "v": V + e[W.numel() :].view_as(V)}
    result, logits = gradreg.sam(smooth, PARAMS, X, Y, p=p, eps=0.1)
    torch.testing.assert_close(result, losses(moved).mean())
    torch.testing.assert_close(logits, smooth(moved, X))
    # To first order it is the loss and the dual norm of the gradient for the weights.
    small = gradreg.sam(smooth, PARAMS, X, Y, p=p, eps=1e-5)[0] - losses().mean()
    torch.testing.assert_close(small / 1e-5, norm(flat, dual_exponent(p))[0], rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(gradreg.sam(smooth, PARAMS, X, Y, p=p, eps=0.0)[0], losses().mean())

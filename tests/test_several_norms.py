"""The union of the balls of several norms: steps in it, and the objectives that take several norms together."""

import itertools
import math

import pytest
import torch
from family import DRAW, PARAMS, X, Y, losses, smooth
from hypothesis import given
from hypothesis import strategies as st

import gradreg
from gradreg.norms import dual_exponent, norm, steepest_step, steepest_step_in_union
from gradreg.objectives.ascent import EXACT_PROJECTIONS

EXPONENTS = st.sampled_from([1.0, 1.3, 2.0, 4.0, math.inf])
BALLS = st.lists(st.tuples(EXPONENTS, st.floats(0.05, 3)), min_size=1, max_size=4)
PROJECTED = st.lists(st.tuples(st.sampled_from(EXACT_PROJECTIONS), st.floats(0.05, 3)), min_size=1, max_size=3)
KINDS = ("worst_norm", "average_norm", "random_norm")
# Each of them is the worst for some samples.
P, EPS = (1.0, 2.0, math.inf), (0.37, 0.3, 0.175)


def gradient(x=X):
    return gradreg.input_gradient(smooth, PARAMS, x, Y)


def objective(kind, p=P, eps=EPS, **settings):
    settings |= {"draw": torch.full((1, 1), settings.pop("place", 0.0))} if kind == "random_norm" else {}
    return getattr(gradreg, kind)(smooth, PARAMS, X, Y, p=p, eps=eps, **settings)


@given(BALLS, st.integers(0, 2**32))
def test_no_point_of_any_ball_does_better_than_the_step_in_the_union(balls, seed):
    generator = torch.Generator().manual_seed(seed)
    g = torch.randn(20, 7, generator=generator, dtype=torch.float64)
    p, eps = zip(*balls, strict=True)
    s = steepest_step_in_union(g, p, eps)
    rise = (g * s).sum(1)
    # It is the largest penalty, and some ball holds it.
    torch.testing.assert_close(rise, torch.stack([e * norm(g, dual_exponent(k)) for k, e in balls]).amax(0))
    assert torch.stack([norm(s, k) <= e * (1 + 1e-9) for k, e in balls]).any(0).all()
    for k, e in balls:
        other = e * gradreg.draw("ball", g.shape, generator, k).double()
        assert ((g * other).sum(1) <= rise * (1 + 1e-6)).all()


@given(EXPONENTS, st.floats(0.05, 3), st.integers(1, 4))
def test_one_ball_is_that_norm_and_equal_ones_change_nothing(p, eps, count):
    g = gradient()
    assert torch.equal(steepest_step_in_union(g, [p] * count, [eps] * count), steepest_step(g, p, eps))


def test_a_zero_gradient_gives_a_zero_step():
    assert not steepest_step_in_union(torch.zeros(2, 3), P, EPS).any()


def test_each_sample_may_have_its_own_eps():
    g = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    eps = [torch.tensor([[0.1], [0.2], [5.0]]), torch.tensor([[1.0], [0.1], [0.1]])]
    each = [steepest_step_in_union(g[i : i + 1], (2.0, math.inf), [float(size[i]) for size in eps]) for i in range(3)]
    torch.testing.assert_close(steepest_step_in_union(g, (2.0, math.inf), eps), torch.cat(each))


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_one_norm_without_a_projection_has_no_step(kind, steps):
    with pytest.raises(ValueError, match="Frank-Wolfe, which has no step"):
        objective(kind, p=(3.0,), eps=(0.5,), steps=steps, step=0.1)


def test_as_many_eps_as_norms_are_needed():
    with pytest.raises(ValueError, match="zip"):
        steepest_step_in_union(torch.ones(2, 3), P, EPS[:2])


def test_samples_differ_in_their_worst_norm():
    lengths = torch.stack([e * norm(gradient(), dual_exponent(p)) for p, e in zip(P, EPS, strict=True)])
    assert set(lengths.argmax(0).tolist()) == {0, 1, 2}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("count", "steps", "p"),
    [*itertools.product([1], [1, 3], [1.0, 1.5, 2.0, math.inf]), *itertools.product([2], [1, 3], EXACT_PROJECTIONS)],
)
def test_one_norm_is_perturb_or_adversarial_to_the_bit(kind, count, steps, p):
    """So are two that are equal; but for the mean of equal losses, which rounds."""
    if steps == 1:
        expected, logits = gradreg.perturb(smooth, PARAMS, X, Y, p=p, eps=0.3)
    else:
        expected, logits = gradreg.adversarial(smooth, PARAMS, X, Y, p=p, eps=0.3, steps=3, alpha=0.25)
    alpha = 0.0 if steps == 1 else 0.25
    loss, same = objective(kind, [p] * count, [0.3] * count, steps=steps, alpha=alpha, **at(kind, 0.6))
    assert torch.equal(loss, expected)
    assert torch.equal(same, logits)


def at(kind, place):
    return {"place": place} if kind == "random_norm" else {}


def test_the_worst_norm_is_the_step_in_the_union_and_to_first_order_the_largest_penalty():
    s = steepest_step_in_union(gradient(), P, EPS)
    torch.testing.assert_close(objective("worst_norm")[0], losses(x=X + s).mean())
    tiny = [1e-6 * e for e in EPS]
    largest = torch.stack([e * norm(gradient(), dual_exponent(p)) for p, e in zip(P, tiny, strict=True)]).amax(0)
    rise = objective("worst_norm", eps=tiny)[0] - losses().mean()
    torch.testing.assert_close(rise, largest.mean(), rtol=1e-3, atol=0)


@pytest.mark.parametrize("steps", [1, 4])
def test_the_average_is_the_mean_over_norms(steps):
    each = [gradreg.adversarial(smooth, PARAMS, X, Y, p=p, eps=e, steps=steps)[0] for p, e in zip(P, EPS, strict=True)]
    torch.testing.assert_close(objective("average_norm", steps=steps)[0], torch.stack(each).mean())
    mixed = objective("average_norm", steps=steps, alpha=0.25)[0]
    torch.testing.assert_close(mixed, 0.25 * losses().mean() + 0.75 * torch.stack(each).mean())


@pytest.mark.parametrize("steps", [1, 4])
def test_the_norm_that_is_drawn_is_that_of_the_whole_batch(steps):
    for k, place in itertools.product(range(3), (0.01, 0.32)):
        expected = gradreg.adversarial(smooth, PARAMS, X, Y, p=P[k], eps=EPS[k], steps=steps)[0]
        torch.testing.assert_close(objective("random_norm", steps=steps, place=k / 3 + place)[0], expected)


def test_several_steps_end_in_one_of_the_balls_and_gain_at_least_what_one_step_does():
    seen = []

    def watching(params, x):
        seen.append(x)
        return smooth(params, x)

    loss = gradreg.worst_norm(watching, PARAMS, X, Y, p=P, eps=EPS, steps=20)[0]
    s = seen[-1] - X
    assert torch.stack([norm(s, p) <= e * (1 + 1e-9) for p, e in zip(P, EPS, strict=True)]).any(0).all()
    assert loss > objective("worst_norm")[0] - 1e-3


@given(PROJECTED)
def test_several_steps_maximise_a_linear_loss_over_the_union(balls):
    """One logit linear in x and a binary loss: the optimum is the best of the steepest steps."""
    a = torch.tensor([0.3, -1.0, 0.2, 0.05], dtype=torch.float64)
    p, eps = zip(*balls, strict=True)
    seen = []

    def linear(params, x):
        seen.append(x)
        return torch.stack([x @ a, torch.zeros(len(x), dtype=x.dtype)], 1)

    gradreg.worst_norm(linear, PARAMS, X, torch.ones(5, dtype=torch.int64), p=p, eps=eps, steps=20)
    best = max(e * norm(a[None], dual_exponent(k)).item() for k, e in balls)
    rise = ((seen[-1] - X) * a).sum(1)
    torch.testing.assert_close(rise, torch.full((5,), best, dtype=torch.float64), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", ["worst_norm", "random_norm"])
def test_several_steps_in_balls_without_a_projection_are_refused(kind):
    with pytest.raises(ValueError, match=r"need p in \(1, 2, inf\), got \(1.5, 2.0\)"):
        objective(kind, (1.5, 2.0), (0.1, 0.1), steps=2)
    assert objective(kind, (1.5, 2.0), (0.1, 0.1))[0] > losses().mean()


def test_the_draw_is_fair():
    generator = torch.Generator().manual_seed(0)
    places = torch.cat([gradreg.draw("shared", X.shape, generator).flatten() for _ in range(3000)])
    counts = torch.bincount((places * 3).floor().long(), minlength=3)
    assert (counts - 1000).abs().max() < 4 * math.sqrt(3000 * 2 / 9)
    assert DRAW.shape == X.shape

"""Dual exponents, norms, steepest steps and projections against their definitions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradreg.norms import dual_exponent, norm, project, steepest_step, steepest_step_in_box

EXPONENTS = st.one_of(st.sampled_from([1.0, 1.001, 1.5, 2.0, 3.0, 100.0, math.inf]), st.floats(1, 1e6, allow_nan=False))
SHAPES = hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=5)
RELATIVE = 1e-5
MAGNITUDES = st.sampled_from([1e-45, 1e-40, 1e-20, 1.0, 1e20, 1e38])


def tensors(magnitudes=MAGNITUDES):
    """Samples of any shape with ordinary, denormal or huge entries, among them zeros and ties."""
    entries = st.one_of(st.just(0.0), st.sampled_from([1.0, -1.0, 0.5]), st.floats(-1, 1, width=32))
    arrays = hnp.arrays(np.float32, SHAPES, elements=entries)
    return st.builds(lambda a, m: torch.from_numpy((a * np.float64(m)).astype(np.float32)), arrays, magnitudes)


def exact_norm(x, p):
    """The p-norm in double precision, with magnitudes divided by the largest."""
    a = x.double().flatten(1).abs()
    top = a.amax(1, keepdim=True).clamp(min=1e-300)
    if math.isinf(p):
        return top.squeeze(1) * (a > 0).any(1)
    return (top * ((a / top).pow(p).sum(1, keepdim=True)).pow(1 / p)).squeeze(1) * (a > 0).any(1)


@given(EXPONENTS)
def test_dual_exponents_sum_to_one(p):
    q = dual_exponent(p)
    assert 1 / p + 1 / q == pytest.approx(1)
    assert dual_exponent(q) == pytest.approx(p, rel=1e-6) or p > 1e5  # 1 - 1/p loses digits


@pytest.mark.parametrize("p", [0.5, 0, -1, math.nan, -math.inf])
@pytest.mark.parametrize(
    "function", [dual_exponent, lambda p: norm(torch.ones(1, 2), p), lambda p: steepest_step(torch.ones(1, 2), p, 1)]
)
def test_no_norm_below_one(p, function):
    with pytest.raises(ValueError, match=r"p must be in \[1, inf\]"):
        function(p)


@given(tensors(), EXPONENTS)
def test_norm_equals_double_precision(x, p):
    expected = exact_norm(x, p)
    keep = (expected < 3e38) & ((expected > 1e-37) | (expected == 0))  # elsewhere the norm is not a normal float
    torch.testing.assert_close(norm(x, p).double()[keep], expected[keep], rtol=RELATIVE, atol=0)


@pytest.mark.parametrize("p", [1, 1.3, 2, 3, math.inf])
def test_norm_agrees_with_torch(p):
    x = torch.randn(7, 3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(norm(x, p), torch.linalg.vector_norm(x.flatten(1), p, dim=1))


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 4.0, math.inf])
def test_norm_has_a_finite_derivative_even_at_zero(p):
    x = torch.tensor([[0.0, 0.0], [3.0, -4.0]], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(norm(x, p).sum(), x)
    assert gradient.isfinite().all()
    torch.testing.assert_close(norm(gradient[1:], dual_exponent(p)), torch.ones(1, dtype=torch.float64))


@given(tensors(), EXPONENTS, st.sampled_from([1e-3, 0.3, 8 / 255, 2.0]))
def test_step_has_length_eps_and_reaches_the_dual_norm(g, p, eps):
    s = steepest_step(g, p, eps)
    assert s.shape == g.shape
    assert s.isfinite().all()
    moved = g.flatten(1).abs().amax(1) > 0
    assert (s.flatten(1)[~moved] == 0).all()
    length = exact_norm(s, p)[moved]
    torch.testing.assert_close(length, torch.full_like(length, eps), rtol=RELATIVE, atol=0)
    gain = (g.double() * s.double()).flatten(1).sum(1)
    best = eps * exact_norm(g, dual_exponent(p))
    torch.testing.assert_close(gain[moved], best[moved], rtol=RELATIVE, atol=0)


@given(tensors(st.just(1.0)), EXPONENTS, st.integers(0, 2**31))
def test_no_feasible_step_gains_more(g, p, seed):
    best = (g.double() * steepest_step(g, p, 1.0).double()).flatten(1).sum(1)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(20):
        s = torch.randn(g.shape, generator=generator) * (torch.rand(g.shape, generator=generator) < 0.5)
        s = s.double() / exact_norm(s, p).clamp(min=1e-30).reshape(-1, *[1] * (g.ndim - 1))
        assert ((g.double() * s).flatten(1).sum(1) <= best * (1 + RELATIVE) + 1e-12).all()


def test_the_three_classic_norms():
    g = torch.tensor([[3.0, -4.0, 0.0]])
    torch.testing.assert_close(steepest_step(g, math.inf, 0.1), torch.tensor([[0.1, -0.1, 0.0]]))
    torch.testing.assert_close(steepest_step(g, 2, 0.5), torch.tensor([[0.3, -0.4, 0.0]]))
    torch.testing.assert_close(steepest_step(g, 1, 2.0), torch.tensor([[0.0, -2.0, 0.0]]))


def test_ties_share_eps():
    g = torch.tensor([[2.0, -2.0, 1.0, 2.0]])
    expected = torch.tensor([[1 / 3, -1 / 3, 0.0, 1 / 3]])
    torch.testing.assert_close(steepest_step(g, 1, 1.0), expected)


@pytest.mark.parametrize(("p", "near"), [(1, 1 + 1e-5), (math.inf, 1e6)])
def test_the_limits_are_reached_continuously(p, near):
    g = torch.tensor([[2.0, -2.0, 1.0, 0.5, 0.0], [0.3, 0.2, -0.1, 0.3, 0.3]])
    torch.testing.assert_close(steepest_step(g, near, 0.7), steepest_step(g, p, 0.7), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(norm(g, near), norm(g, p), rtol=1e-4, atol=0)


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, math.inf])
def test_vmap_and_a_tensor_of_eps(p):
    g = torch.randn(3, 4, 2, 5, generator=torch.Generator().manual_seed(1))
    stacked = torch.func.vmap(lambda part: steepest_step(part, p, 0.2))(g)
    torch.testing.assert_close(stacked, torch.stack([steepest_step(part, p, 0.2) for part in g]))
    eps = torch.tensor([[0.1], [0.2], [0.3], [0.4]])
    torch.testing.assert_close(norm(steepest_step(g[0], p, eps), p), eps.squeeze(1))


@pytest.mark.parametrize("p", [1, 1.3, 2, 3, math.inf])
def test_the_derivative_of_the_step_matches_finite_differences(p):
    """At entries away from zero and ties; for zero entries and samples the derivative is finite."""
    g = torch.tensor([[0.5, -0.2, 0.3, -0.9], [0.1, 0.7, -0.4, 0.2]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda g: steepest_step(g, p, 0.3), g.requires_grad_())
    flat = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.0, -1.0]]).requires_grad_()
    (slope,) = torch.autograd.grad(steepest_step(flat, p, 0.3).square().sum(), flat)
    assert slope.isfinite().all()


@given(tensors(st.sampled_from([1e-3, 1.0, 1e3])), st.sampled_from([1.0, 2.0, math.inf]), st.floats(0.01, 100))
def test_projection_is_onto_the_ball_and_keeps_points_inside(s, p, eps):
    s = s.double()
    projected = project(s, p, eps)
    assert (norm(projected, p) <= eps * (1 + RELATIVE)).all()
    inside = norm(s, p) <= eps * (1 - RELATIVE)
    assert torch.equal(projected[inside], s[inside])
    torch.testing.assert_close(project(s, p, torch.tensor(eps, dtype=torch.float64)), projected)


@given(tensors(st.just(1.0)), st.sampled_from([1.0, 2.0, math.inf]), st.floats(0.01, 3))
def test_projection_is_the_nearest_point(s, p, eps):
    """The variational inequality: <s - P, v - P> <= 0 for all v in the ball; at worst v is the steepest step."""
    s = s.double()
    projected = project(s, p, eps)
    rest = s - projected
    worst = steepest_step(rest, p, eps)
    assert ((rest * (worst - projected)).flatten(1).sum(1) <= 1e-9).all()


@pytest.mark.parametrize("p", [1.5, 3.0])
def test_no_projection_for_other_p(p):
    with pytest.raises(ValueError, match="no exact projection for p"):
        project(torch.ones(1, 2), p, 1.0)


# At the edges of formats

FORMATS = st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16])
EDGE_EXPONENTS = st.sampled_from([1.0, 1.1, 1.5, 2.0, 3.0, 10.0, math.inf])


@st.composite
def spread(draw):
    """One sample whose entries lie anywhere in the exponents of a format, zeros among them."""
    dtype = draw(FORMATS)
    smallest, largest = (math.frexp(value)[1] for value in (torch.finfo(dtype).tiny, torch.finfo(dtype).max))
    exponents = st.one_of(st.none(), st.integers(smallest, largest - 1))
    entry = st.tuples(exponents, st.sampled_from([-1.0, -0.75, 0.5, 0.9]))
    entries = draw(st.lists(entry, min_size=1, max_size=6))
    values = [0.0 if exponent is None else math.ldexp(mantissa, exponent) for exponent, mantissa in entries]
    return torch.tensor([values], dtype=torch.float64).to(dtype)


@pytest.fixture(params=[False, True], ids=["", "denormals flushed"], scope="module")
def flushed(request):
    torch.set_flush_denormal(request.param)
    yield
    torch.set_flush_denormal(False)


@given(spread(), EDGE_EXPONENTS)
def test_a_step_stays_in_its_ball_and_climbs_best_in_every_format(flushed, g, p):
    s = steepest_step(g, p, 0.5)
    rounding = 8 * torch.finfo(g.dtype).eps
    assert s.dtype == g.dtype
    assert exact_norm(s, p).item() <= 0.5 * (1 + rounding)
    top = g.double().abs().amax().item()
    climb = (g.double() / (top or 1) * s.double()).sum().item()
    best = 0.5 * exact_norm(g.double() / (top or 1), dual_exponent(p)).item()
    assert climb == pytest.approx(best, rel=2 * rounding + 1e-6)


@given(spread(), EDGE_EXPONENTS)
def test_norms_are_right_in_every_format(flushed, x, p):
    expected = exact_norm(x, p).item()
    limits = torch.finfo(x.dtype)
    if 4 * limits.tiny < expected < limits.max / 2 or expected == 0:
        assert norm(x, p).item() == pytest.approx(expected, rel=8 * limits.eps)


@given(spread(), EDGE_EXPONENTS, st.sampled_from([math.nan, math.inf, -math.inf]))
def test_what_is_not_finite_has_no_finite_norm(flushed, x, p, bad):
    worse = torch.cat([x, torch.full((1, 1), bad, dtype=x.dtype)], 1)
    assert norm(worse, p).item() == pytest.approx(abs(bad), nan_ok=True)
    assert torch.equal(norm(torch.cat([x, x]), p)[:1], norm(x, p)), "other samples do not matter"


def test_many_entries_of_half_precision_are_summed_without_overflow():
    assert norm(torch.ones(1, 70000).half(), 2).item() == pytest.approx(70000**0.5, rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("p", [1, 2, math.inf])
def test_projections_of_many_entries_are_right_in_half_precision(dtype, p):
    s = torch.randn(4, 784, generator=torch.Generator().manual_seed(0)).to(dtype)
    projected = project(s, p, 0.5)
    assert projected.dtype == dtype
    torch.testing.assert_close(projected.double(), project(s.double(), p, 0.5), rtol=0.01, atol=1e-5)


def test_the_derivative_of_the_normalised_gradient_is_right_at_zero_entries():
    g = torch.tensor([[3.0, 0.0, 4.0]], dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda g: steepest_step(g, 2, 1)[0], g).squeeze(1)
    unit = g[0] / 5
    torch.testing.assert_close(jacobian, (torch.eye(3, dtype=torch.float64) - unit.outer(unit)) / 5)


@pytest.mark.parametrize("p", [-math.inf, math.nan, 0.5, 3])
def test_projections_that_there_are_not_are_refused(p):
    with pytest.raises(ValueError, match="no exact projection"):
        project(torch.ones(1, 2), p, 1)


def by_bisection(g, x, p, eps):
    """min(l |g|^(q-1), room) along g, with l found by bisection in its logarithm; for one sample, in NumPy."""
    room = np.where(g > 0, 1 - x, x) * (g != 0)
    with np.errstate(divide="ignore"):
        shape = np.log(np.abs(g) / np.abs(g).max()) / (p - 1)
    low, high = -200.0, 200.0 - shape[np.isfinite(shape)].min()
    for _ in range(200):
        middle = (low + high) / 2
        size = np.minimum(np.exp(np.minimum(middle + shape, 50)), room)
        low, high = (middle, high) if (size**p).sum() < eps**p else (low, middle)
    return np.sign(g) * np.minimum(np.exp(np.minimum(low + shape, 50)), room)


@given(st.integers(0, 2**31), st.sampled_from([1.25, 1.5, 2.0, 4.0, 16.0]), st.sampled_from([0.01, 0.3, 1.0, 2.5]))
def test_the_step_in_the_box_meets_the_conditions_of_karush_kuhn_and_tucker(seed, p, eps):
    """Coordinates at walls, at zero and alike among them."""
    generator = np.random.default_rng(seed)
    g, x = generator.normal(size=7).round(1) * 10.0 ** generator.integers(-2, 2), generator.random(7)
    g[0], x[1], x[2] = g[3], 0.0, 1.0
    if not g.any():
        return
    s = steepest_step_in_box(torch.from_numpy(g)[None], torch.from_numpy(x)[None], p, eps)[0]
    torch.testing.assert_close(s, torch.from_numpy(by_bisection(g, x, p, eps)), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("p", [1, 1.5, 2, math.inf])
def test_the_step_in_the_box_takes_an_eps_of_each_sample_and_zero(p):
    generator = torch.Generator().manual_seed(0)
    g, x = torch.randn(3, 6, generator=generator), torch.rand(3, 6, generator=generator)
    eps = torch.tensor([[0.0], [0.1], [0.4]])
    s = steepest_step_in_box(g, x, p, eps)
    for i in range(3):
        torch.testing.assert_close(s[i : i + 1], steepest_step_in_box(g[i : i + 1], x[i : i + 1], p, eps[i].item()))
    assert (s[0] == 0).all()

"""Random directions: their distributions, and that they depend only on the generator."""

import math

import pytest
import torch
from scipy import stats

from gradreg import sampling
from gradreg.norms import norm


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("distribution", "cdf"), [("gaussian", stats.norm.cdf), ("uniform", stats.uniform(-1, 2).cdf)])
def test_entries_follow_their_distribution(distribution, cdf):
    entries = sampling.draw(distribution, (100, 50), generator()).flatten().numpy()
    assert stats.kstest(entries, cdf).pvalue > 0.01


def test_signs_are_fair():
    entries = sampling.draw("sign", (100, 50), generator())
    assert set(entries.unique().tolist()) == {-1, 1}
    assert stats.binomtest(int((entries > 0).sum()), 5000).pvalue > 0.01


@pytest.mark.parametrize("p", [1.0, 1.3, 2.0, 3.0, 50.0, 1e6, math.inf])
@pytest.mark.parametrize("d", [1, 2, 5])
def test_points_of_a_ball_are_uniform(p, d):
    """For every p, the p-norm has the distribution r^d, and positive and negative entries are equally likely."""
    points = sampling.draw("ball", (4000, d), generator(d), p)
    radius = norm(points, p).double()
    assert radius.max() <= 1 + 1e-6
    assert stats.kstest(radius.numpy(), lambda r: r.clip(0, 1) ** d).pvalue > 0.01
    assert stats.binomtest(int((points[:, 0] > 0).sum()), 4000).pvalue > 0.01


@pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
def test_the_direction_in_a_ball_is_uniform_too(p):
    """The share of points in a ball of another norm with half the radius is the ratio of the volumes."""
    points = sampling.draw("ball", (20000, 2), generator(), p)
    volume = {1.0: 2.0, 2.0: math.pi, math.inf: 4.0}
    inner = {1.0: math.inf, 2.0: 1.0, math.inf: 2.0}[p]
    inside = int((norm(points, inner) <= 0.5).sum())
    assert stats.binomtest(inside, 20000, volume[inner] / 4 / volume[p]).pvalue > 0.01


@pytest.mark.parametrize("distribution", sampling.DISTRIBUTIONS)
def test_only_the_generator_decides(distribution):
    state = torch.get_rng_state()
    first = sampling.draw(distribution, (3, 1, 4, 4), generator(), 1.5)
    assert first.shape == ((1, 1, 1, 1) if distribution == "shared" else (3, 1, 4, 4))
    assert first.dtype == torch.float32
    assert torch.equal(first, sampling.draw(distribution, (3, 1, 4, 4), generator(), 1.5))
    assert not torch.equal(first, sampling.draw(distribution, (3, 1, 4, 4), generator(1), 1.5))
    assert torch.equal(torch.get_rng_state(), state)


def test_unknown_distributions_and_invalid_norms_are_refused():
    with pytest.raises(ValueError, match="no distribution 'normal'; there are gaussian, uniform, sign, ball"):
        sampling.draw("normal", (2, 2), generator())
    with pytest.raises(ValueError, match=r"p must be in \[1, inf\]"):
        sampling.draw("ball", (2, 2), generator(), 0.5)

"""Comparisons over seeds and images: their size under the hypothesis that there is no difference, and their power."""

import math

import numpy as np
import pytest
from scipy import stats

from gradreg.reporting import significance


def outcomes(generator, seeds, images, spread, shift=0.0):
    """Two sides of networks that err on images of differing difficulty, each seed a little more or less."""
    hard = generator.beta(0.05, 1, images)

    def side(more):
        levels = np.exp(generator.normal(0, spread, (seeds, 1)) + more)
        return generator.random((seeds, images)) < np.clip(hard * levels, 0, 1)

    return side(0.0), side(shift)


@pytest.mark.parametrize(("images", "spread"), [(300, 0.5), (1000, 0.1), (2000, 0.0)])
def test_where_there_is_no_difference_few_are_found(images, spread):
    generator = np.random.default_rng(0)
    found = [significance.difference(*outcomes(generator, 5, images, spread)).p_value < 0.05 for _ in range(300)]
    assert np.mean(found) <= 0.08


def test_a_difference_is_found():
    generator = np.random.default_rng(1)
    found = [significance.difference(*outcomes(generator, 5, 3000, 0.1, -0.5)) for _ in range(50)]
    assert np.mean([own.p_value < 0.05 for own in found]) > 0.9
    assert all(own.low <= own.mean <= own.high for own in found)


def test_one_side_that_never_varies_leaves_the_seeds_test_of_welch():
    """All images alike: what remains is the difference of the seeds' errors."""
    ours = np.repeat(np.array([[0.1], [0.2], [0.3], [0.2], [0.1]]), 7, axis=1)
    theirs = np.repeat(np.array([[0.3], [0.5], [0.4], [0.6], [0.4], [0.5]]), 7, axis=1)
    expected = stats.ttest_ind(ours[:, 0], theirs[:, 0], equal_var=False)
    assert significance.difference(ours, theirs).p_value == pytest.approx(expected.pvalue)


def test_seeds_that_all_agree_leave_the_paired_test_of_the_images():
    generator = np.random.default_rng(2)
    ours, theirs = (np.repeat(generator.random((1, 400)) < share, 5, axis=0) for share in (0.1, 0.2))
    d = ours[0].astype(float) - theirs[0]
    expected = 2 * stats.norm.sf(abs(d.mean()) / (d.std(ddof=1) / math.sqrt(400)))
    assert significance.difference(ours, theirs).p_value == pytest.approx(expected)


def test_few_seeds_claim_nothing_and_equal_outcomes_do_not_differ():
    same = np.zeros((5, 10), bool)
    assert significance.difference(same, same).p_value == 1
    assert math.isnan(significance.difference(same[:4], same).p_value)
    with pytest.raises(ValueError, match="10 and 9 images"):
        significance.difference(same, same[:, :9])


def test_holm():
    assert significance.holm([0.01, math.nan, 0.04, 0.03])[::2] == pytest.approx([0.03, 0.06])
    assert math.isnan(significance.holm([0.01, math.nan])[1])
    assert significance.holm([]) == []

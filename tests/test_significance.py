"""Comparisons over seeds and images: their size if there is no difference, and their power."""

import math

import numpy as np
import pytest
from scipy import stats

from gradreg.reporting import significance


def outcomes(generator, seeds, images, spread, shift=0.0):
    """Outcomes of two groups of networks, on images of varying difficulty and with errors that vary by seed."""
    hard = generator.beta(0.05, 1, images)

    def side(more):
        levels = np.exp(generator.normal(0, spread, (seeds, 1)) + more)
        return generator.random((seeds, images)) < np.clip(hard * levels, 0, 1)

    return side(0.0), side(shift)


@pytest.mark.parametrize(("images", "spread"), [(300, 0.5), (1000, 0.1), (2000, 0.0)])
def test_few_differences_are_found_if_there_is_none(images, spread):
    generator = np.random.default_rng(0)
    results = [significance.difference(*outcomes(generator, 5, images, spread)) for _ in range(300)]
    assert np.mean([result.p_value < 0.05 for result in results]) <= 0.08


def test_a_difference_is_found():
    generator = np.random.default_rng(1)
    results = [significance.difference(*outcomes(generator, 5, 3000, 0.1, -0.5)) for _ in range(50)]
    assert np.mean([result.p_value < 0.05 for result in results]) > 0.9
    assert all(result.low <= result.mean <= result.high for result in results)


def test_with_all_images_alike_it_is_welchs_test_of_the_seeds():
    first = np.repeat(np.array([[0.1], [0.2], [0.3], [0.2], [0.1]]), 7, axis=1)
    second = np.repeat(np.array([[0.3], [0.5], [0.4], [0.6], [0.4], [0.5]]), 7, axis=1)
    expected = stats.ttest_ind(first[:, 0], second[:, 0], equal_var=False)
    assert significance.difference(first, second).p_value == pytest.approx(expected.pvalue)


def test_with_all_seeds_alike_it_is_the_paired_test_of_the_images():
    generator = np.random.default_rng(2)
    first, second = (np.repeat(generator.random((1, 400)) < share, 5, axis=0) for share in (0.1, 0.2))
    d = first[0].astype(float) - second[0]
    expected = 2 * stats.norm.sf(abs(d.mean()) / (d.std(ddof=1) / math.sqrt(400)))
    assert significance.difference(first, second).p_value == pytest.approx(expected)


def test_few_seeds_have_no_p_value_and_equal_outcomes_do_not_differ():
    same = np.zeros((5, 10), bool)
    assert significance.difference(same, same).p_value == 1
    assert math.isnan(significance.difference(same[:4], same).p_value)
    with pytest.raises(ValueError, match="10 and 9 images"):
        significance.difference(same, same[:, :9])


def test_holm():
    assert significance.holm([0.01, math.nan, 0.04, 0.03])[::2] == pytest.approx([0.03, 0.06])
    assert math.isnan(significance.holm([0.01, math.nan])[1])
    assert significance.holm([]) == []


def test_one_image_says_nothing_about_others():
    wrong = np.array([[1], [0], [1], [1]])
    found = significance.difference(wrong, 1 - wrong)
    assert found.mean == pytest.approx(0.5)
    assert all(math.isnan(value) for value in (found.low, found.high, found.p_value))

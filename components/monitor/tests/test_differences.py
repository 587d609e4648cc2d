"""Figures of one window: those of SciPy, or of their formula, to 1e-6."""

import warnings

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from components.monitor.drift.differences import compare_counts, compare_values, corrected


def test_figures_of_counts_are_those_of_their_formulas() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        cells = int(generator.integers(2, 30))
        window, reference = generator.integers(0, 40, (2, cells))
        window[0] += 1
        reference[-1] += 1
        found = compare_counts(window, reference)
        new, old = window / window.sum(), reference / reference.sum()
        filled = (window + 0.5) / (window + 0.5).sum(), (reference + 0.5) / (reference + 0.5).sum()
        psi = sum((a - b) * np.log(a / b) for a, b in zip(*filled, strict=True))
        seen = np.array([window, reference])[:, window + reference > 0]
        expected = np.outer(seen.sum(1), seen.sum(0)) / seen.sum()
        chi_square = ((seen - expected) ** 2 / expected).sum()
        assert found.psi == pytest.approx(psi, abs=1e-6)
        assert found.jensen_shannon == pytest.approx(jensenshannon(new, old, 2), abs=1e-6)
        assert found.total_variation == pytest.approx(np.abs(new - old).sum() / 2, abs=1e-6)
        assert found.chi_square == pytest.approx(chi_square, abs=1e-6)
        p_value = stats.chi2(seen.shape[1] - 1).sf(chi_square)
        assert found.p_value == pytest.approx(p_value, abs=1e-6)


def test_equal_and_disjoint_counts() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        equal = compare_counts([3, 4, 9], [3, 4, 9])
        only = compare_counts([5, 0], [9, 0])
        disjoint = compare_counts([9, 0], [0, 9])
    assert equal == pytest.approx((0, 0, 0, 0, 1))
    assert only[1:] == pytest.approx((0, 0, 0, 1))
    assert disjoint.jensen_shannon == pytest.approx(1)
    assert disjoint.total_variation == 1


def test_counts_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="no photograph"):
        compare_counts([0, 0], [1, 2])


def test_values_are_compared_as_scipy_does() -> None:
    generator = np.random.default_rng(0)
    window, reference = generator.normal(0.2, 1, 300), generator.normal(0, 1, 500)
    by_scipy = stats.ks_2samp(window, reference, method="asymp")
    assert compare_values(window, reference) == (by_scipy.statistic, by_scipy.pvalue)


def test_corrected_p_values_of_30_windows_without_a_change_are_seldom_small() -> None:
    generator = np.random.default_rng(0)
    p_values = generator.random((1000, 30, 4))
    small = [
        any(corrected(p, look, 4) < 0.1 for look, of_look in enumerate(life, 1) for p in of_look)
        for life in p_values
    ]
    assert np.mean(small) <= 0.1
    assert (p_values < 0.1).any(axis=(1, 2)).mean() > 0.99

"""Accuracy with labels, against a floor; and without any, estimated."""

import numpy as np
import pytest
from scipy.stats import beta

from components.monitor.quality.estimated_accuracy import (
    calibration,
    doubts,
    estimate_accuracy,
)
from components.monitor.quality.floors import not_fallen, over_floor
from components.monitor.sequential.evidence import Evidence, add_window
from darkroom.anytime import Interval


def looked(accuracy: float, allowed: Interval, windows: int = 20) -> Evidence:
    generator, evidence = np.random.default_rng(0), Evidence()
    for _ in range(windows):
        evidence = add_window(evidence, generator.random(200) < accuracy, allowed)
    return evidence


def test_accuracy_under_its_floor_is_told_and_over_it_is_not() -> None:
    assert looked(0.91, over_floor(0.9)).e_value < 1
    assert looked(0.84, over_floor(0.9)).e_value > 1000


def test_a_fall_that_is_let_pass_is_none() -> None:
    allowed = not_fallen(920, 1000, 0.05, error=0.001)
    low = beta(920, 81).ppf(0.001)
    assert allowed.low == pytest.approx(low - 0.05, abs=1e-6)
    assert looked(0.88, allowed).e_value < 1
    assert looked(0.78, allowed).e_value > 1000
    assert not_fallen(1, 20, 0.05, error=0.001).low == 0


def made(count: int, seed: int, wrong: float = 1.2) -> tuple[np.ndarray, np.ndarray]:
    """Confidences, the less sure the higher `wrong` is, and who is right: less often than said."""
    generator = np.random.default_rng(seed)
    sure = generator.beta(5, wrong, count)
    return sure, generator.random(count) < sure**1.3


@pytest.mark.parametrize("wrong", [1.2, 2.2])
def test_the_interval_holds_the_windows_accuracy_whatever_photographs_come(wrong: float) -> None:
    held, misses = [], []
    for seed in range(40):
        known = calibration(*made(600, seed))
        sure, right = made(500, 1000 + seed, wrong)
        found = estimate_accuracy(sure, known, draws=80, seed=seed)
        held.append(found.interval.low <= right.mean() <= found.interval.high)
        misses.append(found.accuracy - right.mean())
    assert np.mean(held) >= 0.95 - 2 * np.sqrt(0.95 * 0.05 / 40)
    assert abs(np.mean(misses)) < 0.015


def test_both_estimates_are_near_on_photographs_like_those_of_the_valid_split() -> None:
    known = calibration(*made(2000, 0))
    sure, right = made(2000, 1)
    found = estimate_accuracy(sure, known, draws=20)
    assert found.accuracy == pytest.approx(right.mean(), abs=0.03)
    assert found.thresholded == pytest.approx(right.mean(), abs=0.04)
    assert found == estimate_accuracy(sure, known, draws=20)


def test_what_speaks_against_an_estimate_is_said() -> None:
    sure, right = made(500, 0)
    known = calibration(sure, right)
    assert doubts(sure, known) == ()
    assert "fewer than 100" in doubts(sure, calibration(sure[:50], right[:50]))[0]
    assert "all right or all wrong" in doubts(sure, calibration(sure, np.ones(500)))[0]
    assert "50 % of" in doubts([0.02, 0.9], known)[0]
    assert doubts(sure, known, far=0.01) == ()
    assert "12 % of the photographs are unlike" in doubts(sure, known, far=0.12)[0]
    assert "sure and wrong" in doubts(sure, known, drifted=True)[0]

"""Accuracy with labels, against a floor; and without any, estimated."""

import numpy as np
import pytest

from components.monitor.quality.estimated_accuracy import (
    calibration,
    doubts,
    estimate_accuracy,
)
from components.monitor.quality.floors import floor_evidence, over_floor
from components.monitor.sequential.evidence import Evidence, add_window


def drawn(accuracy: float, windows: int = 20) -> np.ndarray:
    """Photographs that are right, and all, [W, 2]."""
    right = np.random.default_rng(0).binomial(200, accuracy, windows)
    return np.stack([right, np.full(windows, 200)], axis=1)


def test_accuracy_under_its_floor_is_told_and_over_it_is_not() -> None:
    assert floor_evidence(0.9, drawn(0.91)).max() < np.log(20)
    assert floor_evidence(0.9, drawn(0.84))[-1] > np.log(1000)


def test_evidence_against_a_floor_is_that_of_bets_window_by_window() -> None:
    evidence, found = Evidence(), []
    for right, count in drawn(0.87):
        evidence = add_window(evidence, [0, 1], over_floor(0.9), counts=[count - right, right])
        found.append(evidence.log_e_value)
    assert floor_evidence(0.9, drawn(0.87)) == pytest.approx(found, abs=1e-9)


def test_at_a_floor_labels_that_come_in_any_order_alarm_no_more_often_than_said() -> None:
    """A life is looked at whenever labels have come, to whichever windows, over and over."""
    generator = np.random.default_rng(1)
    lives, alarms = 400, 0
    for _ in range(lives):
        counted = np.zeros((10, 2))
        for look in range(20):
            last = min(look // 2 + 1, 10)
            for window in generator.integers(0, last, 3):
                counted[window] += generator.binomial(20, 0.9), 20
            if floor_evidence(0.9, counted[:last])[-1] >= np.log(10):
                alarms += 1
                break
    assert alarms / lives <= 0.1


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

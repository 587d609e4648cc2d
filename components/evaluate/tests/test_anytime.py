"""A comparison that may be looked at again and again keeps its error rate over all looks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom, binom

from components.evaluate.comparison.compare import accuracy_difference
from darkroom.anytime import _PRIOR, always_valid
from darkroom.intervals import mcnemar

PATHS, IMAGES = 150, 2000


def looks(rate: float, share: float, seed: int) -> list[list[tuple[int, int, int]]]:
    """Outcomes of pairs of models at every look: newly right, newly wrong, and all images."""
    generator = np.random.default_rng(seed)
    paths = []
    for _ in range(PATHS):
        drawn = generator.choice([1, -1, 0], IMAGES, p=[rate * share, rate * (1 - share), 1 - rate])
        right, wrong = np.cumsum(drawn == 1), np.cumsum(drawn == -1)
        places = range(100, IMAGES + 1, 50)
        paths.append([(int(right[n - 1]), int(wrong[n - 1]), n) for n in places])
    return paths


def test_equal_models_are_told_apart_in_one_of_twenty_lives_at_most() -> None:
    paths = looks(0.1, 0.5, 0)
    alarms = [any(always_valid(*look).p_value < 0.05 for look in path) for path in paths]
    once = [any(mcnemar(*look[:2]) < 0.05 for look in path) for path in paths]
    # Its true rate is below 0.05; of 150 lives, by chance some more.
    assert np.mean(alarms) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / PATHS)
    assert np.mean(once) > 0.15  # which is what it is for


@pytest.mark.parametrize(("rate", "share"), [(0.1, 0.5), (0.1, 0.65), (0.3, 0.5)])
def test_the_interval_holds_the_truth_at_every_look(rate: float, share: float) -> None:
    gain = rate * (2 * share - 1)
    missed = [
        any(not low <= gain <= high for look in path for low, high in [always_valid(*look)[1]])
        for path in looks(rate, share, 1)
    ]
    assert np.mean(missed) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / PATHS)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 400))
def test_it_is_fair_to_both_sides(right: int, wrong: int, rest: int) -> None:
    count = right + wrong + rest or 1
    found, turned = always_valid(right, wrong, count), always_valid(wrong, right, count)
    assert found.p_value == pytest.approx(turned.p_value)
    assert found.interval.low == pytest.approx(-turned.interval.high)
    assert found.interval.low <= (right - wrong) / count <= found.interval.high
    assert 0 < found.p_value <= 1
    discordant = right + wrong
    wealth = betabinom(discordant, _PRIOR, _PRIOR).pmf(right) / binom(discordant, 0.5).pmf(right)
    assert found.p_value == pytest.approx(min(1, 1 / wealth), rel=1e-6)


def test_the_setting_decides_which_test_is_used() -> None:
    outcomes = (300, 12, 3, 85)
    once, always = (accuracy_difference({}, outcomes, test) for test in ("fixed", "anytime"))
    assert once.p_value is not None
    assert always.p_value is not None
    assert once.p_value < 0.05 < always.p_value
    assert always.low is not None
    assert once.low is not None
    assert always.low < once.low

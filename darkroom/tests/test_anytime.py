"""Intervals of rates that may be looked at again and again."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from darkroom.anytime import rate_difference, rate_interval

PATHS, LOOKS = 200, (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


@pytest.mark.parametrize("rate", [0.003, 0.05, 0.5, 0.97])
def test_the_interval_holds_the_rate_at_every_look(rate: float) -> None:
    generator = np.random.default_rng(0)
    missed, missed_once = [], []
    for _ in range(PATHS):
        hits = np.cumsum(generator.random(LOOKS[-1]) < rate)
        looks = [(int(hits[count - 1]), count) for count in LOOKS]
        found = [rate_interval(*look) for look in looks]
        missed.append(any(not low <= rate <= high for low, high in found))
        once = [binomtest(*look).proportion_ci() for look in looks]
        missed_once.append(any(not each.low <= rate <= each.high for each in once))
    assert np.mean(missed) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / PATHS)
    assert np.mean(missed_once) > np.mean(missed)  # which is what it is for


@given(st.integers(0, 300), st.integers(0, 300))
def test_it_is_wider_than_an_interval_of_one_look(hits: int, misses: int) -> None:
    count = hits + misses
    low, high = rate_interval(hits, count)
    assert 0 <= low <= high <= 1
    if count:
        once = binomtest(hits, count).proportion_ci(0.95, "wilson")
        assert low <= hits / count <= high
        assert (low <= once.low + 0.01, high >= once.high - 0.01) == (True, True)
    turned = rate_interval(misses, count)
    assert (turned.low, turned.high) == pytest.approx((1 - high, 1 - low), abs=1e-6)


@pytest.mark.parametrize("hits", [1, 1000, 5 * 10**8, 10**9 - 1])
def test_a_server_that_runs_for_years_is_no_trouble(hits: int) -> None:
    low, high = rate_interval(hits, 10**9)
    assert low < hits / 10**9 < high
    assert high - low < 1e-3


def test_few_requests_say_little() -> None:
    assert rate_difference(1, 3, 0, 1000).low < 0 < rate_difference(1, 3, 0, 1000).high
    assert rate_difference(0, 0, 0, 0) == (-1.0, 1.0)
    assert rate_difference(0, 1000, 0, 1000).high < 0.01
    assert rate_difference(60, 1000, 0, 1000).low > 0.02

"""Statistics of two models on the same images: right by definition, and as often as they claim."""

import functools
import math

import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from darkroom.intervals import bootstrap, difference_of_shares, mcnemar, wilson

counts = st.integers(0, 60)


@given(counts, counts)
def test_mcnemar_counts_the_outcomes_that_are_no_likelier(right: int, wrong: int) -> None:
    total = right + wrong
    ways = [math.comb(total, k) for k in range(total + 1)]
    expected = sum(way for way in ways if way <= ways[right]) / 2**total
    assert mcnemar(right, wrong) == pytest.approx(expected, rel=1e-9)


@given(counts, counts, counts, counts)
def test_an_interval_holds_its_difference_and_turns_with_the_models(
    both: int, right: int, wrong: int, neither: int
) -> None:
    count = both + right + wrong + neither
    if not count:
        return
    low, high = difference_of_shares(both, right, wrong, neither)
    assert -1 <= low <= (right - wrong) / count <= high <= 1
    turned = difference_of_shares(both, wrong, right, neither)
    assert turned == pytest.approx((-high, -low))


def test_newcombes_own_example() -> None:
    """Newcombe 1998, table III, method 10: 50 subjects: 36, 12, 2 and 0."""
    low, high = difference_of_shares(36, 12, 2, 0)
    assert (low, high) == pytest.approx((0.0569, 0.3404), abs=5e-4)


@given(st.integers(1, 2000), st.floats(0, 1))
def test_a_shares_interval_is_scipys(count: int, share: float) -> None:
    hits = round(share * count)
    found = scipy.stats.binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert wilson(hits, count) == pytest.approx((found.low, found.high), abs=1e-9)


@pytest.mark.parametrize(("accuracy", "gain"), [(0.9, 0.0), (0.9, 0.03), (0.6, -0.1), (0.97, 0.0)])
def test_intervals_cover_the_truth_as_often_as_they_say(accuracy: float, gain: float) -> None:
    generator, truth = np.random.default_rng(0), true_gain(accuracy, gain)
    covered = 0
    for _ in range(1000):
        # Images differ in how hard they are, so that the models err on the same ones.
        hardness = generator.random(300)
        old = hardness + generator.normal(0, 0.05, 300) < accuracy
        new = hardness + generator.normal(0, 0.05, 300) < accuracy + gain
        low, high = difference_of_shares(
            int((new & old).sum()),
            int((new & ~old).sum()),
            int((~new & old).sum()),
            int((~new & ~old).sum()),
        )
        covered += low <= truth <= high
    assert 0.93 <= covered / 1000 <= 0.995


def true_gain(accuracy: float, gain: float) -> float:
    generator = np.random.default_rng(1)
    hardness = generator.random(400_000)
    noise = generator.normal(0, 0.05, (2, 400_000))
    old, new = hardness + noise[0] < accuracy, hardness + noise[1] < accuracy + gain
    return float(new.mean() - old.mean())


def test_equal_models_are_seldom_called_different() -> None:
    generator = np.random.default_rng(2)
    alarms = 0
    for _ in range(4000):
        discordant = generator.binomial(350, 0.08)
        right = generator.binomial(discordant, 0.5)
        alarms += mcnemar(right, discordant - right) < 0.05
    assert alarms / 4000 <= 0.05 * 1.2


def mean_of(values: npt.NDArray[np.float64], places: npt.NDArray[np.int64]) -> list[float | None]:
    return [float(values[places].mean())]


def test_the_bootstrap_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(3)
    covered = 0
    for model in range(500):
        losses = generator.exponential(1.0, 250) - generator.exponential(0.8, 250)
        (found,) = bootstrap(functools.partial(mean_of, losses), 250, 300, model)
        assert found is not None
        covered += found.low <= 0.2 <= found.high
    assert abs(covered / 500 - 0.95) <= 0.02 + 0.01  # and the noise of 500 models


def test_the_bootstrap_says_when_most_draws_have_no_such_number() -> None:
    assert bootstrap(lambda places: [math.nan if 0 in places else 1.0], 5, 200) == [None]

"""The evidence that a share has changed: exact, and seldom there when nothing has."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import betabinom, binom, binomtest

from components.monitor.sequential.changed_share import _TIED, Counted, changed_share
from components.monitor.sequential.starts import later_weight, start_weight

LIVES, WINDOWS, SIZE = 150, 30, 100


def log_likelihood(counted: Counted, one: float = 0.5, other: float = 0.5) -> float:
    """Of one order of the photographs, by SciPy's distribution of their number."""
    hits, total = counted
    return float(betabinom(total, one, other).logpmf(hits)) - math.log(math.comb(total, hits))


def added(*counts: Counted) -> Counted:
    return Counted(sum(each.hits for each in counts), sum(each.total for each in counts))


def test_it_is_the_likelihood_of_a_change_over_that_of_the_best_single_share() -> None:
    reference = Counted(30, 120)
    windows = [Counted(7, 40), Counted(5, 30), Counted(20, 45)]
    everything = added(reference, *windows)
    terms = [math.log(later_weight(3)) + log_likelihood(everything)]
    for start in range(3):
        before, after = added(reference, *windows[:start]), added(*windows[start:])
        share = (before.hits + 0.5) / (before.total + 1)
        tied = 0.5 + _TIED * share, 0.5 + _TIED * (1 - share)
        weight = math.log(start_weight(start + 1))
        terms.append(weight + log_likelihood(before) + log_likelihood(after, *tied))
    share = everything.hits / everything.total
    best = binom(everything.total, share).logpmf(everything.hits) - math.log(
        math.comb(everything.total, everything.hits)
    )
    found = changed_share(reference, windows)
    assert found is not None
    assert found.log_e_value == pytest.approx(float(np.logaddexp.reduce(terms) - best), rel=1e-6)
    assert (found.since, found.after) == (2, 20 / 45)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.8, 0.99])
def test_on_average_over_all_that_may_come_it_is_1_at_most(share: float) -> None:
    sizes, average = (6, 3, 2), 0.0
    for hits in itertools.product(*(range(size + 1) for size in sizes)):
        chance = math.prod(
            float(binom(size, share).pmf(hit)) for size, hit in zip(sizes, hits, strict=True)
        )
        counts = [Counted(hit, size) for hit, size in zip(hits, sizes, strict=True)]
        found = changed_share(counts[0], counts[1:])
        assert found is not None
        average += chance * found.e_value
    assert average <= 1


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5])
def test_one_life_in_ten_at_most_has_a_false_alarm_at_10_percent(share: float) -> None:
    generator = np.random.default_rng(0)
    alarms, usual = [], []
    for _ in range(LIVES):
        reference = Counted(int(generator.binomial(300, share)), 300)
        hits = generator.binomial(SIZE, share, WINDOWS)
        windows = [Counted(int(hit), SIZE) for hit in hits]
        looks = [changed_share(reference, windows[: look + 1]) for look in range(WINDOWS)]
        alarms.append(any(found is not None and found.e_value >= 10 for found in looks))
        known = reference.hits / reference.total
        usual.append(any(binomtest(hit, SIZE, known).pvalue < 0.1 for hit in hits[:10]))
    assert np.mean(alarms) <= 0.1
    assert np.mean(usual) > 0.3  # which is what it is for


def test_a_late_change_is_found_and_dated() -> None:
    quiet = [Counted(20 + number % 3, 100) for number in range(200)]
    found = changed_share(Counted(210, 1000), [*quiet, Counted(60, 100)])
    assert found is not None
    assert found.e_value > 1e6
    assert (found.since, found.after) == (200, 0.6)
    assert found.before == pytest.approx(0.21, abs=0.01)


def test_what_was_accepted_can_be_the_reference_of_a_new_start() -> None:
    changed = [Counted(60, 100)] * 3
    assert changed_share(added(*changed), changed).e_value < 1  # type: ignore[union-attr]


def test_windows_without_photographs_count_for_nothing() -> None:
    windows = [Counted(5, 50), Counted(30, 50)]
    empty = Counted(0, 0)
    found = changed_share(Counted(10, 100), [empty, windows[0], empty, windows[1], empty])
    without = changed_share(Counted(10, 100), windows)
    assert found is not None
    assert without is not None
    assert found._replace(since=1) == without
    assert found.since == 3
    assert changed_share(Counted(10, 100), [empty]) is None
    assert changed_share(Counted(10, 100), []) is None


def test_without_a_reference_the_first_windows_are_one() -> None:
    windows = [Counted(10, 100)] * 5
    quiet = changed_share(Counted(0, 0), windows)
    changed = changed_share(Counted(0, 0), [*windows, Counted(70, 100)])
    assert quiet is not None
    assert changed is not None
    assert quiet.e_value < 1 < 1000 < changed.e_value


@pytest.mark.parametrize("wrong", [Counted(3, 2), Counted(-1, 2)])
def test_counts_that_cannot_be_are_refused(wrong: Counted) -> None:
    with pytest.raises(ValueError, match="cannot be counted"):
        changed_share(Counted(1, 2), [wrong])


def test_labels_that_come_in_any_order_give_no_evidence_of_a_change() -> None:
    """Looked at whenever labels have come, to whichever windows; the proof is for one order."""
    generator = np.random.default_rng(1)
    alarms, lives = 0, 100
    for _ in range(lives):
        known = Counted(int(generator.binomial(300, 0.9)), 300)
        counted = np.zeros((15, 2))
        most = 0.0
        for look in range(60):
            for window in generator.integers(0, look // 4 + 1, 3):
                counted[window] += generator.binomial(20, 0.9), 20
            found = changed_share(known, counted)
            assert found is not None
            most = max(most, found.e_value)
        alarms += most >= 10
    assert alarms <= 0.1 * lives

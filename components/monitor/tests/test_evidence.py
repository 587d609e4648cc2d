"""Bets on a mean that left its range: exact, kept as JSON, and seldom won when it has not."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.monitor.sequential.evidence import FRACTIONS, Evidence, add_window
from components.monitor.sequential.starts import later_weight, start_weight
from darkroom.anytime import Interval

RANGE = Interval(0.4, 0.6)


def wealth_of(windows: list[list[float]], allowed: Interval) -> float:
    """Each bet of each start on its own, one photograph after the other."""
    total = later_weight(len(windows))
    for start in range(len(windows)):
        bets = []
        for fraction in FRACTIONS:
            up = down = 1.0
            for value in itertools.chain(*windows[start:]):
                up *= 1 + fraction * (value - allowed.high) / allowed.high
                down *= 1 - fraction * (value - allowed.low) / (1 - allowed.low)
            bets += [up, down]
        total += start_weight(start + 1) * float(np.mean(bets))
    return total


def test_it_is_the_wealth_of_all_bets_of_all_starts() -> None:
    generator = np.random.default_rng(0)
    windows = [generator.random(size).tolist() for size in (5, 9, 4, 7)]
    evidence = Evidence()
    for window in windows:
        evidence = add_window(evidence, window, RANGE)
    assert evidence.e_value == pytest.approx(wealth_of(windows, RANGE), rel=1e-9)


@pytest.mark.parametrize("mean", [0.4, 0.5, 0.6])
def test_on_average_over_all_that_may_come_it_is_1_at_most(mean: float) -> None:
    average = 0.0
    for values in itertools.product([0.0, 1.0], repeat=6):
        chance = math.prod(mean if value else 1 - mean for value in values)
        evidence = add_window(add_window(Evidence(), values[:3], RANGE), values[3:], RANGE)
        average += chance * evidence.e_value
    assert average <= 1 + 1e-12


def test_one_life_in_ten_at_most_has_a_false_alarm_at_10_percent() -> None:
    generator = np.random.default_rng(0)
    alarms = []
    for _ in range(100):
        evidence, alarm = Evidence(), False
        for _ in range(30):  # as near to a change as is allowed
            evidence = add_window(evidence, generator.beta(6, 4, 50), RANGE)
            alarm = alarm or evidence.e_value >= 10
        alarms.append(alarm)
    assert np.mean(alarms) <= 0.1


def test_a_change_after_many_quiet_windows_is_found_in_two() -> None:
    generator = np.random.default_rng(0)
    evidence = Evidence()
    for _ in range(100):
        evidence = add_window(evidence, generator.beta(5, 5, 200), RANGE)
    assert evidence.e_value < 1
    for _ in range(2):
        evidence = add_window(evidence, generator.beta(8, 3, 200), RANGE)
    assert evidence.e_value > 1000


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.randoms())
def test_order_and_json_change_nothing(values: list[float], shuffler: object) -> None:
    before = add_window(Evidence(), [0.2, 0.9], RANGE)
    kept = Evidence.from_json(json.loads(json.dumps(before)))
    assert kept == before
    shuffled = sorted(values)
    one, other = add_window(kept, values, RANGE), add_window(before, shuffled, RANGE)
    assert one.log_e_value == pytest.approx(other.log_e_value, abs=1e-9)
    unique, counts = np.unique(values, return_counts=True)
    counted = add_window(before, unique, RANGE, counts)
    assert counted.log_e_value == pytest.approx(one.log_e_value, abs=1e-9)


def test_what_says_nothing_leaves_it_as_it_is() -> None:
    before = add_window(Evidence(), [0.2, 0.9], RANGE)
    assert add_window(before, [], RANGE) == before
    assert add_window(before, [0.5], Interval(0, 1)) == before
    assert Evidence().e_value == 1


def test_bets_go_only_to_sides_on_which_a_mean_may_leave() -> None:
    floor = add_window(Evidence(), [0.0] * 20, Interval(0.9, 1))
    assert max(floor.up) < -690
    both = add_window(Evidence(), [0.0] * 20, Interval(0.9, 0.95))
    assert floor.log_e_value - both.log_e_value == pytest.approx(math.log(2), abs=0.01)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_values_out_of_bounds_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        add_window(Evidence(), [0.5, value], RANGE)


def test_evidence_beyond_a_float_is_still_told() -> None:
    evidence = add_window(Evidence(), [0.0, 1.0], Interval(0, 0.1), counts=[0, 10_000])
    assert evidence.log_e_value > 1000
    assert math.isfinite(evidence.e_value)
    json.dumps(evidence, allow_nan=False)

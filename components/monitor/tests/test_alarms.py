"""The rate of false alarms, shared out over tests, and which of them alarm."""

import numpy as np
import pytest

from components.monitor.sequential.alarms import (
    RATE,
    alarmed,
    overall_e_value,
    range_error,
    shares,
)
from components.monitor.sequential.starts import later_weight, start_weight


def test_shares_are_equal_over_families_and_within() -> None:
    found = shares({"label": list("abcd"), "brightness": ["dark"], "embedding": []})
    assert found == {**dict.fromkeys("abcd", 0.125), "dark": 0.5}
    assert shares({}) == {}


def test_the_errors_of_all_ranges_are_a_tenth_of_the_rate() -> None:
    of_rate = shares({"one": ["a", "b"], "other": ["c"]})
    assert sum(range_error(share) for share in of_rate.values()) == pytest.approx(RATE / 10)
    looks = sum(range_error(0.5, look) for look in range(1, 100_000))
    assert looks == pytest.approx(range_error(0.5), rel=1e-3)


def test_one_alarms_with_its_share_of_the_rate_and_several_help_each_other() -> None:
    of_rate = shares({name: [name] for name in "abcd"})
    enough = 4 / (0.8 * RATE)
    assert alarmed({"a": enough * 1.01, "b": 1.0}, of_rate) == ["a"]
    assert alarmed({"a": enough * 0.99, "b": 1.0}, of_rate) == []
    assert alarmed({"a": enough * 0.6, "b": enough * 0.51, "c": 2.0}, of_rate) == ["a", "b"]
    assert alarmed({}, of_rate) == []


def test_an_alarm_needs_as_much_evidence_over_all_tests() -> None:
    generator = np.random.default_rng(0)
    of_rate = shares({"label": list("abcde"), "size": list("fg")})
    seen = 0
    for _ in range(500):
        e_values = dict(zip(of_rate, np.exp(generator.normal(4, 3, 7)), strict=True))
        if alarmed(e_values, of_rate):
            seen += 1
            assert overall_e_value(e_values, of_rate) >= 1 / (0.8 * RATE)
    assert seen > 50


def test_equal_shares_give_the_procedure_of_benjamini_and_hochberg() -> None:
    generator = np.random.default_rng(0)
    of_rate = shares({"label": list("abcdef")})
    for _ in range(200):
        e_values = np.exp(generator.normal(5, 2, 6))
        ordered = np.sort(e_values)[::-1]
        counts = [k for k in range(1, 7) if ordered[k - 1] >= 6 / (k * 0.8 * RATE)]
        found = alarmed(dict(zip("abcdef", e_values, strict=True)), of_rate)
        assert len(found) == max(counts, default=0)


def test_the_weights_of_all_windows_sum_to_1() -> None:
    for windows in (0, 1, 7, 500):
        spent = sum(start_weight(window) for window in range(1, windows + 1))
        assert spent + later_weight(windows) == pytest.approx(1, abs=1e-12)
    assert later_weight(10_000) < 0.001

"""Whole lives of the monitor's tests together; `python -m benchmarks drift` has many more."""

import pytest
from threadpoolctl import threadpool_limits

from benchmarks.detectors import EMBEDDING, darkroom
from benchmarks.drift import CHANGED_AT, CHANGES, life

FOUND_IN = {
    "a label's share +10 points": ("label=2", 4),
    "brightness -30 %": ("brightness<", 1),
    "accuracy -5 points": ("accuracy", 8),
    "the embedding's mean, 0.5 deviations": (EMBEDDING, 5),
}
"""The test that tells each change, and in how many windows."""


def test_lives_without_a_change_have_no_alarm() -> None:
    with threadpool_limits(1):
        for seed in range(1000, 1006):
            assert not any(darkroom(*life(CHANGES["none"], seed)))


@pytest.mark.parametrize("change", FOUND_IN)
def test_a_change_is_told_by_the_test_of_what_has_changed(change: str) -> None:
    test, windows = FOUND_IN[change]
    with threadpool_limits(1):
        alarms = list(darkroom(*life(CHANGES[change], 1000)))
    assert not any(alarms[:CHANGED_AT])
    found = alarms[CHANGED_AT : CHANGED_AT + windows]
    assert any(name.startswith(test) for name in found[-1])


def test_every_change_is_tried() -> None:
    assert set(FOUND_IN) == set(CHANGES) - {"none"}

"""Long work says how far it is, short work nothing."""

import logging

import pytest

from darkroom.runtime.pace import Pace

LOG = logging.getLogger("test_pace")


def test_a_line_every_half_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    with caplog.at_level(logging.INFO, LOG.name):
        pace = Pace(LOG, "photographs", 10_000)
        for _ in range(6):
            now += 11.0
            pace.add(1000)
    assert caplog.messages == [
        "photographs: 3,000 of 10,000, 91 a second, 0:01:17 left",
        "photographs: 6,000 of 10,000, 91 a second, 0:00:44 left",
    ]

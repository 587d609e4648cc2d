"""Long work says how far it is, short work nothing."""

import logging

import pytest

from darkroom.runtime.pace import PROGRESS_MARK, PROGRESS_VARIABLE, Pace

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


def test_a_run_in_a_terminal_hears_of_it_every_second(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setenv(PROGRESS_VARIABLE, "1")
    pace = Pace(LOG, "photographs", 10)
    for _ in range(4):
        now += 0.5
        pace.add()
    assert capsys.readouterr().err.split(PROGRESS_MARK) == [
        "",
        "[####....................] photographs: 2 of 10, 2 a second, 0:00:04 left\n",
        "[#########...............] photographs: 4 of 10, 2 a second, 0:00:03 left\n",
    ]


def test_a_bar_in_a_terminal_goes_when_the_work_is_done(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with caplog.at_level(logging.INFO, LOG.name):
        pace = Pace(LOG, "photographs", 3)
        for _ in range(3):
            now += 1.0
            pace.add()
    *shown, last = capsys.readouterr().err.split("\r")[:-1]
    assert shown == [
        "[########................] photographs: 1 of 3, 1 a second, 0:00:02 left\x1b[K",
        "[################........] photographs: 2 of 3, 1 a second, 0:00:01 left\x1b[K",
    ]
    assert last == "\x1b[K"
    assert not caplog.messages

"""How far long work is: a bar in a terminal, a plain line every half minute in a log."""

import datetime
import logging
import os
import sys
import threading
import time

PROGRESS_VARIABLE = "DARKROOM_PROGRESS"
"""Set for the steps' processes of a run in a terminal, which shows how far they are."""
PROGRESS_MARK = "\x1e"
"""Begins a line that says how far a step is, for its run to show and not to keep."""

_SECONDS_BETWEEN_LINES = 30.0
_SECONDS_BETWEEN_BARS = 1.0
_BAR_WIDTH = 24
_CLEAR_REST_OF_LINE = "\x1b[K"


class Pace:
    """Counts what is done, and says so now and then; work of less than half a minute says nothing.

    In a terminal it says so every second.

    Args:
        log: Where the lines go.
        what: What is counted, such as `photographs`.
        total: How many there are.
    """

    def __init__(self, log: logging.Logger, what: str, total: int) -> None:
        self._log, self._what, self._total = log, what, total
        self._done = 0
        self._began = self._said = time.monotonic()
        self._lock = threading.Lock()
        self._in_run = bool(os.environ.get(PROGRESS_VARIABLE))
        self._in_terminal = sys.stderr.isatty() and log.isEnabledFor(logging.INFO)
        is_live = self._in_run or self._in_terminal
        self._interval = _SECONDS_BETWEEN_BARS if is_live else _SECONDS_BETWEEN_LINES

    def add(self, count: int = 1) -> None:
        """Counts what is done; of several threads, too."""
        with self._lock:
            self._done += count
            now = time.monotonic()
            if now - self._said < self._interval and not self._is_over():
                return
            self._said = now
            self._say(self._done, now - self._began)

    def _is_over(self) -> bool:
        """Whether a bar must go; a log has no more to hear of it."""
        return self._in_terminal and self._done >= self._total

    def _say(self, done: int, seconds: float) -> None:
        rate = done / seconds if seconds else 0.0
        left = max(0, self._total - done)
        ends = f", {_duration(left / rate)} left" if rate and self._total else ""
        shown = f"{done:,} of {self._total:,}, {rate:,.0f} a second{ends}"
        if self._in_run:
            print(f"{PROGRESS_MARK}{self._bar()}{self._what}: {shown}", file=sys.stderr, flush=True)
        elif self._in_terminal:
            line = "" if self._is_over() else f"{self._bar()}{self._what}: {shown}"
            # The line that comes next is written over it.
            print(f"{line}{_CLEAR_REST_OF_LINE}", end="\r", file=sys.stderr, flush=True)
        else:
            self._log.info("%s: %s", self._what, shown)

    def _bar(self) -> str:
        if not self._total:
            return ""
        filled = min(_BAR_WIDTH, _BAR_WIDTH * self._done // self._total)
        return f"[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] "


def _duration(seconds: float) -> str:
    """A duration as `0:01:46`."""
    return str(datetime.timedelta(seconds=round(seconds)))

"""How far long work is: a plain line every half minute, with rate and time left."""

import datetime
import logging
import threading
import time

_SECONDS_BETWEEN_LINES = 30.0


class Pace:
    """Counts what is done, and says so now and then; work of less than half a minute says nothing.

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

    def add(self, count: int = 1) -> None:
        """Counts what is done; of several threads, too."""
        with self._lock:
            self._done += count
            now = time.monotonic()
            if now - self._said < _SECONDS_BETWEEN_LINES:
                return
            self._said = now
            done = self._done
        rate = done / (now - self._began)
        left = max(0, self._total - done)
        ends = f", {_duration(left / rate)} left" if rate and self._total else ""
        shown = f"{done:,} of {self._total:,}, {rate:,.0f} a second{ends}"
        self._log.info("%s: %s", self._what, shown)


def _duration(seconds: float) -> str:
    """A duration as `0:01:46`."""
    return str(datetime.timedelta(seconds=round(seconds)))

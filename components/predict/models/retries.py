"""Requests to a served model: tried again while it is busy or away, and no more than so many."""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import tenacity

from darkroom.errors import StepError

_log = logging.getLogger("darkroom.predict")

LONGEST_WAIT = 30.0
"""Seconds between two tries, at most, where the server does not ask for more."""

T = TypeVar("T")


class BusyError(Exception):
    """The server does not answer now, and may later.

    Attributes:
        wait: Seconds that it asks to wait for; None where it does not say.
    """

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def patiently(call: Callable[[], T], patience: float) -> T:
    """Calls until there is an answer.

    Args:
        call: Raises BusyError where it may be tried again.
        patience: Seconds after which it is not.

    Raises:
        StepError: The server has not answered for so long.
    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(BusyError),
        wait=lambda state: min(_wait(state), max(0.0, patience - (state.seconds_since_start or 0))),
        stop=tenacity.stop_after_delay(patience),
        before_sleep=_say,
        reraise=True,
    )
    try:
        return retrying(call)
    except BusyError as error:
        raise StepError(f"{error}, for {patience:g} seconds; the same call resumes") from None


_backing_off = tenacity.wait_exponential_jitter(initial=0.25, max=LONGEST_WAIT)


def _wait(state: tenacity.RetryCallState) -> float:
    """What the server asks for, and otherwise twice as long each time, by chance a bit more."""
    outcome = state.outcome
    error = None if outcome is None else outcome.exception()
    asked = error.wait if isinstance(error, BusyError) else None
    return _backing_off(state) if asked is None else asked


def _say(state: tenacity.RetryCallState) -> None:
    outcome = state.outcome
    if state.attempt_number == 4 and outcome is not None:
        _log.warning("%s; it is asked again", outcome.exception())


class RateLimit:
    """Spaces requests evenly.

    Args:
        per_second: Requests a second, at most; None for no limit.
    """

    def __init__(self, per_second: float | None) -> None:
        self._between = 0.0 if per_second is None else 1 / per_second
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Returns when the next request may be sent."""
        with self._lock:
            now = time.monotonic()
            at = max(now, self._next)
            self._next = at + self._between
        time.sleep(max(0.0, at - now))

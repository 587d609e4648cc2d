"""Ctrl-C and the signals that ask a run to end: it ends in order, and says so."""

import contextlib
import signal
from collections.abc import Iterator
from typing import NoReturn

from darkroom.errors import StepError
from darkroom.runtime.signals import handled_signals

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InterruptedRunError(StepError):
    """The run was asked to end.

    Attributes:
        exit_code: As shells have it for a command that a signal ended.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class _Asked(BaseException):
    """Passes through whatever handles errors on its way out."""

    def __init__(self, received: signal.Signals) -> None:
        super().__init__()
        self.received = received


@contextlib.contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Turns Ctrl-C, SIGTERM and SIGHUP into an orderly end.

    Raises:
        InterruptedRunError: There was one.
    """

    def end(received: signal.Signals) -> NoReturn:
        raise _Asked(received)

    try:
        with handled_signals(end, _SIGNALS):
            yield
    except _Asked as asked:
        name = "Ctrl-C" if asked.received == signal.SIGINT else asked.received.name
        raise InterruptedRunError(f"interrupted by {name}", 128 + asked.received) from None

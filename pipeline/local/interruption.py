"""Ctrl-C and the signals that ask a run to end: it ends in order, and says so."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

from components.artifacts.errors import StepError

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


@contextlib.contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Turns Ctrl-C, SIGTERM and SIGHUP into an orderly end.

    Raises:
        InterruptedRunError: There was one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    number = 0

    def end(received: int, _: Any) -> NoReturn:
        nonlocal number
        number = received
        raise _Asked

    before = [(each, signal.signal(each, end)) for each in _SIGNALS]
    try:
        yield
    except _Asked:
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        raise InterruptedRunError(f"interrupted by {name}", 128 + number) from None
    finally:
        for each, handler in before:
            signal.signal(each, handler)

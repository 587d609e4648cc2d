"""Signals that ask a process to end, handled in one way wherever they are."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

TERMINATION = (signal.SIGTERM,)
"""A cluster's way to end a step, and a preemption's."""


class TerminationRequest:
    """Whether the process has been asked to end."""

    def __init__(self) -> None:
        self.received = False

    def note(self) -> None:
        """Takes note of the request."""
        self.received = True


@contextlib.contextmanager
def handled_signals(
    handler: Callable[[signal.Signals], object], signals: tuple[signal.Signals, ...] = TERMINATION
) -> Iterator[None]:
    """Calls a handler for signals, and gives back the handlers that were there before.

    Only the main thread may handle signals: in another, nothing changes.

    Args:
        handler: Called with the signal; it may raise.
        signals: Which ones.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, lambda received, _: handler(signal.Signals(received)))
        for number in signals
    }
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextlib.contextmanager
def noted_termination(
    on_request: Callable[[], object] = lambda: None,
) -> Iterator[TerminationRequest]:
    """Notes SIGTERM instead of ending by it, so that the work can be saved first.

    Args:
        on_request: Called when it comes, besides.
    """
    request = TerminationRequest()

    def note(_: signal.Signals) -> None:
        request.note()
        on_request()

    with handled_signals(note):
        yield request


def exit_on_termination() -> contextlib.AbstractContextManager[None]:
    """Ends by SystemExit on SIGTERM, as an error does: nothing is left half-written."""

    def end(_: signal.Signals) -> NoReturn:
        # No library that handles errors takes this for one.
        raise SystemExit("the step was asked to end")

    return handled_signals(end)


def ignore(*signals: signal.Signals) -> None:
    """Ignores signals from now on."""
    for number in signals:
        signal.signal(number, signal.SIG_IGN)

"""What ends a training before its time: a preemption's SIGTERM, or whoever watches its epochs."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from components.artifacts.errors import StepError

OnEpoch = Callable[[Mapping[str, Any]], None]
"""Called with the history so far after every epoch, and before a training goes on from its
checkpoint; what it raises ends the training."""


class InterruptedStepError(StepError):
    """The training has saved itself and ended, as the process was asked to."""


class Interruption:
    """Whether the process has been asked to end."""

    def __init__(self) -> None:
        self.asked = False

    def note(self, *_: Any) -> None:
        """Takes note; a signal handler."""
        self.asked = True


@contextlib.contextmanager
def noted_interruption() -> Iterator[Interruption]:
    """Notes SIGTERM instead of dying of it, so that the training can save itself first."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption  # only the main thread may handle signals
        return
    before = signal.signal(signal.SIGTERM, interruption.note)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGTERM, before)

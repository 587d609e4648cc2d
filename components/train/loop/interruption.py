"""What ends a training before its time: a preemption's SIGTERM, or whoever watches its epochs."""

from collections.abc import Callable, Mapping
from typing import Any

from darkroom.errors import StepError

OnEpoch = Callable[[Mapping[str, Any]], None]
"""Called with the history so far after every epoch, and before a training resumes from its
checkpoint; what it raises ends the training."""


class InterruptedStepError(StepError):
    """The training has saved itself and ended, as the process was asked to."""

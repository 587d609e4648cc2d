"""How many steps one call of the training loop takes: few calls, and none that is long."""

SHORTEST, LONGEST = 0.3, 1.5
"""Seconds of a call: short enough to be interrupted in time."""


class AdaptiveStepCount:
    """The number of steps of the next call, doubled and halved until a call's time is right.

    Attributes:
        steps: Steps of the next call.
    """

    def __init__(self) -> None:
        self.steps = 1

    def adapt(self, seconds: float) -> None:
        """Takes note of how long a call took, averaged over all workers: so all choose alike."""
        if seconds < SHORTEST:
            self.steps *= 2
        elif seconds > LONGEST:
            self.steps = max(1, self.steps // 2)

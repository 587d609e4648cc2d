"""How far a training is: its epochs so far, the best one, early ends, and a progress line."""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from components.train.loop.steps import MetricSums
from darkroom.errors import StepError

OnEpoch = Callable[[Mapping[str, Any]], None]
"""Called with the history so far after every epoch, and before a training resumes from its
checkpoint; what it raises ends the training."""


class InterruptedStepError(StepError):
    """The process was asked to end (SIGTERM); the training has saved a checkpoint and ended."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a training is; part of its checkpoint.

    Attributes:
        phase: Number of the current phase, from 0.
        epoch: Finished epochs of this phase.
        step: Finished steps of the current epoch.
        step_of_all: Finished steps of the whole training, from which the stream resumes.
        sums: Metric sums of the current epoch; None before its first step.
        seconds: Duration of the current epoch so far.
        epochs: The history's entries.
        best_epoch: Number of the best of them, from 1; 0 before the first.
    """

    phase: int = 0
    epoch: int = 0
    step: int = 0
    step_of_all: int = 0
    sums: MetricSums | None = None
    seconds: float = 0.0
    epochs: tuple[dict[str, Any], ...] = ()
    best_epoch: int = 0

    def after_steps(self, count: int, sums: MetricSums, seconds: float) -> "Progress":
        """The progress after `count` more steps of the epoch."""
        return dataclasses.replace(
            self,
            step=self.step + count,
            step_of_all=self.step_of_all + count,
            sums=sums,
            seconds=seconds,
        )

    def after_epoch(self, entry: dict[str, Any], monitor: str) -> "Progress":
        """The progress after an epoch.

        Args:
            entry: The epoch's entry of the history.
            monitor: The key that says which epoch is the best.
        """
        epochs = (*self.epochs, entry)
        return dataclasses.replace(
            self,
            epoch=self.epoch + 1,
            step=0,
            sums=None,
            seconds=0.0,
            epochs=epochs,
            best_epoch=epochs[best(epochs, monitor)]["epoch"],
        )

    def next_phase(self) -> "Progress":
        """The progress at the start of the next phase."""
        return dataclasses.replace(self, phase=self.phase + 1, epoch=0)

    def phase_epochs(self) -> tuple[dict[str, Any], ...]:
        """The history's entries of the current phase."""
        return self.epochs[len(self.epochs) - self.epoch :]

    def history(self) -> dict[str, Any]:
        """The history: `{"epochs": [entries], "best_epoch": number}`."""
        return {"epochs": list(self.epochs), "best_epoch": self.best_epoch}


def best(epochs: Sequence[Mapping[str, Any]], monitor: str) -> int:
    """Index of the best epoch; of several equal ones, the first.

    Args:
        epochs: Entries of the history.
        monitor: The key to compare: the highest `val_accuracy`, or the lowest of anything else.
    """
    sign = -1 if monitor == "val_accuracy" else 1
    return min(range(len(epochs)), key=lambda index: sign * monitored(epochs[index], monitor))


def monitored(entry: Mapping[str, Any], monitor: str) -> float:
    """What epochs and trials are compared by.

    Where photographs have several labels, `val_accuracy` is at thresholds of 0.5, which the model
    does not use: the macro F1 at the best thresholds is compared instead.
    """
    by_threshold = monitor == "val_accuracy" and "val_macro_f1" in entry
    return float(entry["val_macro_f1" if by_threshold else monitor])


def out_of_patience(
    epochs: Sequence[Mapping[str, Any]], monitor: str, patience: int | None
) -> bool:
    """Whether a phase's best epoch is `patience` epochs back; False where patience is None."""
    return patience is not None and len(epochs) - 1 - best(epochs, monitor) >= patience


class ProgressLine:
    """A line in a terminal that overwrites itself; nothing is written to a log file.

    Args:
        shown: Whether this process shows it, if standard error is a terminal.
    """

    def __init__(self, shown: bool = True) -> None:
        self._shown = shown and sys.stderr.isatty()
        self._width = 0

    def show(self, text: str) -> None:
        """Replaces the line's text."""
        if self._shown:
            sys.stderr.write(f"\r[train] {text:<{self._width}}")
            sys.stderr.flush()
            self._width = len(text)

    def clear(self) -> None:
        """Empties the line, so that other lines can follow."""
        if self._shown and self._width:
            sys.stderr.write(f"\r{' ' * (self._width + 8)}\r")
            sys.stderr.flush()
            self._width = 0

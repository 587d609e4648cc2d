"""A trial: one training whose history is all that is wanted of it."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from components.train.distribution.tf_config import WorkerGroup
from components.train.settings import TrainSettings
from components.train.train import train_weights
from darkroom.artifacts.transformed import TransformedExamples, TransformGraph

OnValue = Callable[[int, float], None]
"""Called with the number of the last epoch, from 1, and the trial's value by then: after every
epoch, and before a killed trial goes on."""


def run_trial(
    source: TransformedExamples,
    graph: TransformGraph,
    settings: TrainSettings,
    metric: str,
    folder: Path,
    on_value: OnValue,
    workers: WorkerGroup | None = None,
) -> float:
    """Trains with the settings.

    Args:
        source: Transformed examples.
        graph: The graph that gave them.
        settings: What is trained; `checkpoints` and `tensorboard` do not count.
        metric: Name of the value in the history's entries.
        folder: Of the trial's checkpoint; a killed trial goes on from it.
        on_value: What it raises ends the trial.
        workers: The workers; by default this process alone.

    Returns:
        The metric at the epoch whose weights training would keep.

    Raises:
        SettingsError, StepError: As `train` raises them.
    """

    def on_epoch(history: Mapping[str, Any]) -> None:
        on_value(len(history["epochs"]), _kept_value(history, metric))

    here = workers or WorkerGroup()
    own = settings.model_copy(update={"checkpoints": None, "tensorboard": False})
    history = train_weights(source, graph, own, here, folder, on_epoch)
    return _kept_value(history, metric)


@contextlib.contextmanager
def quiet_training() -> Iterator[None]:
    """Keeps the training's own lines back, all but warnings."""
    log = logging.getLogger("darkroom.train")
    before = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(before)


def _kept_value(history: Mapping[str, Any], metric: str) -> float:
    return float(history["epochs"][history["best_epoch"] - 1][metric])

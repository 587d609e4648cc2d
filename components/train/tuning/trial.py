"""A trial: one training that only reports its metric, in this process or in a subprocess."""

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from components.train.distribution.strategy import WorkerGroup
from components.train.loop.progress import InterruptedStepError, monitored
from components.train.settings import TrainSettings
from components.train.train import train_weights
from darkroom.artifacts.transformed import (
    TransformedExamples,
    TransformGraph,
    read_transform_graph,
    read_transformed_examples,
)
from darkroom.errors import DarkroomError, StepError
from darkroom.runtime.log import configure_logging
from darkroom.runtime.signals import TerminationRequest, ignore, noted_termination

OnValue = Callable[[int, float], None]
"""Called with the number of the last epoch, from 1, and the trial's value by then: after every
epoch, and before a killed trial resumes."""


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
        settings: The train step's settings; `checkpoints` and `tensorboard` are ignored.
        metric: Name of the value in the history's entries.
        folder: Folder of the trial's checkpoint, from which a killed trial resumes.
        on_value: Called after every epoch; an exception that it raises ends the trial.
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
    """Hides the training's log lines except warnings."""
    log = logging.getLogger("darkroom.train")
    before = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(before)


def _kept_value(history: Mapping[str, Any], metric: str) -> float:
    return monitored(history["epochs"][history["best_epoch"] - 1], metric)


def run_subprocess_trial(
    transformed_examples: Path,
    transform_graph: Path,
    settings: TrainSettings,
    metric: str,
    folder: Path,
    on_value: OnValue,
) -> float:
    """Runs a trial in a subprocess, which ends with this process and saves a checkpoint on SIGTERM.

    TensorFlow keeps memory of every model until its process ends. A subprocess also frees all of a
    GPU's memory, and one that is killed because it is out of memory is only one failed trial.

    Args:
        transformed_examples: The examples that transform wrote.
        transform_graph: The graph that transform fitted.
        settings: The train step's settings.
        metric: Name of the value in the history's entries.
        folder: Folder of the trial's checkpoint.
        on_value: Called in this process; an exception that it raises ends the trial.

    Returns:
        The metric at the epoch whose weights training would keep.

    Raises:
        SettingsError, StepError: As `train` raises them, or the process was killed.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    arguments = (theirs, transformed_examples, transform_graph, settings, metric, folder)
    process = context.Process(target=_run, args=arguments, daemon=True)
    with ours, _forwarded_termination(process) as request:
        process.start()
        theirs.close()
        try:
            value = _receive(ours, on_value)
        except (EOFError, ConnectionError):
            process.join()
            if not request.received:
                raise StepError(
                    f"the trial's process ended with {process.exitcode}, perhaps out of memory"
                ) from None
        finally:
            process.kill()
            process.join()
    if request.received:
        raise InterruptedStepError("asked to end (SIGTERM): run the same again to resume")
    return value


def _receive(connection: Connection, on_value: OnValue) -> float:
    while True:
        message = connection.recv()
        if isinstance(message, DarkroomError):
            raise message
        if isinstance(message, float):
            return message
        on_value(*message)
        connection.send(None)


def _run(
    connection: Connection,
    transformed_examples: Path,
    transform_graph: Path,
    settings: TrainSettings,
    metric: str,
    folder: Path,
) -> None:
    """The subprocess: sends (epoch, value) after every epoch, and finally the value."""
    # Ctrl-C reaches all processes of a terminal; the parent ends this one.
    ignore(signal.SIGINT)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    configure_logging()
    import tensorflow as tf

    def on_value(epoch: int, value: float) -> None:
        connection.send((epoch, value))
        connection.recv()

    try:
        with quiet_training():
            value = run_trial(
                read_transformed_examples(transformed_examples),
                read_transform_graph(transform_graph),
                settings,
                metric,
                folder,
                on_value,
            )
    except DarkroomError as error:
        connection.send(error)
    except tf.errors.ResourceExhaustedError as error:
        connection.send(StepError(f"out of memory: {str(error.message).splitlines()[0]}"))
    except (EOFError, ConnectionError):
        pass  # the parent has ended
    else:
        connection.send(value)


def _end_with_parent() -> None:
    """Ends this process when its parent is killed, as a new one may run the trial again."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _forwarded_termination(process: SpawnProcess) -> AbstractContextManager[TerminationRequest]:
    """Forwards SIGTERM to the subprocess, which then saves a checkpoint."""

    def forward() -> None:
        if process.pid is not None:
            process.terminate()

    return noted_termination(forward)

"""A trial in a process of its own: TensorFlow keeps memory of every model for as long as it runs.

It also frees a GPU wholly, and a trial that is killed for want of memory is one failed trial.
"""

import multiprocessing
import os
import signal
import threading
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from components.train.loop.interruption import InterruptedStepError
from components.train.settings import TrainSettings
from components.train.tuning.trial import OnValue, quiet_training, run_trial
from darkroom.artifacts.transformed import read_transform_graph, read_transformed_examples
from darkroom.errors import DarkroomError, StepError
from darkroom.runtime.log import configure_logging
from darkroom.runtime.signals import TerminationRequest, ignore, noted_termination


def run_trial_apart(
    transformed_examples: Path,
    transform_graph: Path,
    settings: TrainSettings,
    metric: str,
    folder: Path,
    on_value: OnValue,
) -> float:
    """Runs a trial in a new process, which ends with this one; it saves itself on SIGTERM.

    Args:
        transformed_examples: The examples that transform wrote.
        transform_graph: The graph that transform fitted.
        settings: What is trained.
        metric: Name of the value in the history's entries.
        folder: Of the trial's checkpoint.
        on_value: Called in this process; what it raises ends the trial.

    Returns:
        The metric at the epoch whose weights training would keep.

    Raises:
        SettingsError, StepError: As `train` raises them, or the process was killed.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    arguments = (theirs, transformed_examples, transform_graph, settings, metric, folder)
    process = context.Process(target=_run, args=arguments, daemon=True)
    with ours, _passed_on(process) as request:
        process.start()
        theirs.close()
        try:
            value = _listen(ours, on_value)
        except (EOFError, ConnectionError):
            process.join()
            if not request.received:
                raise StepError(
                    f"the trial's process ended with {process.exitcode}, perhaps for want of memory"
                ) from None
        finally:
            process.kill()
            process.join()
    if request.received:
        raise InterruptedStepError("asked to end (SIGTERM): run the same again to go on")
    return value


def _listen(connection: Connection, on_value: OnValue) -> float:
    while True:
        signals = connection.recv()
        if isinstance(signals, DarkroomError):
            raise signals
        if isinstance(signals, float):
            return signals
        on_value(*signals)
        connection.send(None)


def _run(
    connection: Connection,
    transformed_examples: Path,
    transform_graph: Path,
    settings: TrainSettings,
    metric: str,
    folder: Path,
) -> None:
    """What the new process does: sends (epoch, value) after epochs, and last the value."""
    # Ctrl-C reaches all processes of a terminal; the first of them ends this one.
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
        pass  # the process that wanted the value is gone
    else:
        connection.send(value)


def _end_with_parent() -> None:
    """Ends this process when the first is killed, which by then may run the trial once more."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _passed_on(process: SpawnProcess) -> AbstractContextManager[TerminationRequest]:
    """Passes SIGTERM on to the trial, which answers that it has saved itself."""

    def pass_on() -> None:
        if process.pid is not None:
            process.terminate()

    return noted_termination(pass_on)

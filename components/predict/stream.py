"""`python -m components.predict.stream`: predicts photographs as they arrive, window by window."""

import json
import logging
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from components.predict.rows import Listed, Row, list_rows
from components.predict.settings import StreamSettings
from components.predict.windows import write_window
from darkroom.artifacts.batch_predictions import IMAGE, read_batch_predictions
from darkroom.artifacts.manifest import MANIFEST
from darkroom.artifacts.rejected import REJECTED_FILE, Rejection, read_rejections
from darkroom.beam.options import beam_arguments, worker_message
from darkroom.errors import SettingsError, StepError
from darkroom.runtime.cli import step_command
from darkroom.runtime.signals import handled_signals
from darkroom.storage.paths import is_uri

_log = logging.getLogger("darkroom.predict")

_PUBSUB = re.compile(r"projects/[^/]+/(subscriptions|topics)/[^/]+")
_READS_PUBSUB = "--runner=apache_beam.runners.direct.direct_runner.BundleBasedDirectRunner"
"""The one of Beam's in-process runners that can read Pub/Sub."""


def stream(source: str, out: str, settings: StreamSettings) -> None:
    """Predicts photographs as they arrive, until it is stopped.

    What arrives in a window of time becomes `<out>/<start of the window in UTC>-<digest>`, a
    folder of predictions.

    Args:
        source: A folder to drop photographs in; or a Pub/Sub subscription or topic, as in
            `projects/mine/subscriptions/photographs`, whose messages are JSON objects of an
            image's URI and what is passed through, or notifications of Cloud Storage.
        out: Where the windows go: a folder or, with Pub/Sub, a URI too.
        settings: How long a window is, and how it is predicted.

    Raises:
        SettingsError: The source is not there, or no model is named.
        StepError: The model does not answer, or a window cannot be written.
    """
    if settings.predict.model is None:
        raise SettingsError("setting 'predict.model' is missing: name a model")
    if not _PUBSUB.fullmatch(source):
        _watch(_checked_folder(source, out), Path(out).absolute(), settings)
        return
    from components.predict.messages import build_pipeline

    default = beam_arguments([])
    given = beam_arguments(settings.predict.beam_options)
    options = [_READS_PUBSUB if option in default else option for option in given]
    try:
        with build_pipeline(source, out, settings, [*options, "--streaming"]):
            _log.info("receiving from %s", source)
    except Exception as error:
        message = worker_message(error)
        if message is None:
            raise
        raise StepError(message) from error


def _checked_folder(source: str, out: str) -> Path:
    if is_uri(source) or is_uri(out):
        raise SettingsError(
            f"cannot watch {source} into {out}: both must be folders here; send a bucket's "
            "notifications to Pub/Sub, and give the subscription as source"
        )
    folder = Path(source).absolute()
    if not folder.is_dir():
        raise SettingsError(f"the folder {source} does not exist")
    if Path(out).absolute().is_relative_to(folder):
        raise SettingsError(f"{out} lies in the watched folder {source}: choose another")
    return folder


def _watch(folder: Path, out: Path, settings: StreamSettings) -> None:
    for left in out.glob(".unfinished-*"):  # by a watch that was killed: its files are new again
        shutil.rmtree(left, ignore_errors=True)
    seen = _predicted(out)
    _log.info("watching %s", folder)
    while True:
        predict_arrivals(folder, out, settings, seen)
        time.sleep(settings.window)


def predict_arrivals(folder: Path, out: Path, settings: StreamSettings, seen: set[str]) -> None:
    """Predicts the files below a folder that have not been.

    Args:
        folder: The folder.
        out: Where windows go.
        settings: How they are predicted.
        seen: The files that have been; those that are predicted now are added.
    """
    given = settings.predict.model_copy(update={"data": (str(folder),)})
    new = []
    for row in list_rows(given, Listed()):
        if isinstance(row, Row) and row.location not in seen:
            new.append(row.location)
        elif isinstance(row, Rejection) and (name := str(row.row[IMAGE])) not in seen:
            _log.warning("%s is left out: %s", name, row.detail)
            seen.add(name)
    if not new:
        return
    lines = [json.dumps({settings.predict.image_column: image}) for image in new]
    write_window(lines, time.time(), str(out), settings)
    seen.update(new)


def _predicted(out: Path) -> set[str]:
    """The images that the windows of a folder hold."""
    return {image for window in out.glob(f"*/{MANIFEST}") for image in _images(window.parent)}


def _images(window: Path) -> Iterator[str]:
    predictions = read_batch_predictions(window)
    yield from predictions.images()
    for rejection in read_rejections(window / REJECTED_FILE):
        yield str(rejection.row.get(IMAGE))


def _stop(*_: object) -> NoReturn:
    """Ends the process at once; the window under way is found again when it starts."""
    _log.info("stopped")
    os._exit(0)


if __name__ == "__main__":
    with handled_signals(_stop, (signal.SIGINT, signal.SIGTERM)):
        step_command(stream)

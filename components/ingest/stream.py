"""`python -m components.ingest.stream`: turns arriving photographs into windows of examples."""

import logging
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from components.ingest.settings import StreamSettings
from darkroom.beam.options import beam_arguments, worker_message
from darkroom.errors import SettingsError, StepError
from darkroom.runtime.cli import step_command
from darkroom.runtime.signals import handled_signals
from darkroom.storage.paths import is_uri

_log = logging.getLogger("darkroom.stream")

_PUBSUB = re.compile(r"projects/[^/]+/(subscriptions|topics)/[^/]+")
(_ENDS_FIRST,) = beam_arguments([])
"""The in-process runner: it closes windows only when its source has ended."""
_READS_PUBSUB = "--runner=apache_beam.runners.direct.direct_runner.BundleBasedDirectRunner"
"""The one of Beam's in-process runners that can read Pub/Sub, and knows no splittable source."""


def stream(source: str, out: str, settings: StreamSettings) -> None:
    """Turns photographs into examples as they arrive, until it is stopped.

    Every window of time leaves `<out>/<start of the window in UTC>-<digest>`: an examples artifact
    with `rejected.jsonl`, and with `rows.jsonl`, by which the ingest step takes it in: give it
    `--data '<out>/*/rows.jsonl'`.

    Args:
        source: A Pub/Sub subscription or topic, as in `projects/mine/subscriptions/photographs`,
            whose messages are JSON objects of an image's URI and its label or notifications of
            Cloud Storage; or a folder of label folders, to drop photographs in.
        out: Where the windows go: a folder, or a URI as in `gs://bucket/windows`.
        settings: How long a window is, and how the ingest step reads a photograph.

    Raises:
        SettingsError: The source is not there, or the two lie in one another.
        StepError: A window cannot be written.
    """
    if not is_uri(out):
        out = str(Path(out).absolute())
    is_subscription = _PUBSUB.fullmatch(source) is not None
    folder = Path() if is_subscription else _checked_folder(source, out)
    try:
        if is_subscription:
            _receive(source, out, settings)
        else:
            _watch(folder, out, settings)
    except Exception as error:
        message = worker_message(error)
        if message is None:
            raise
        raise StepError(message) from error


def _checked_folder(source: str, out: str) -> Path:
    folder = Path(source).absolute()
    if is_uri(source):
        raise SettingsError(
            f"cannot watch {source}: send the bucket's notifications to Pub/Sub, and give "
            "the subscription as source"
        )
    if not folder.is_dir():
        raise SettingsError(f"the folder {source} does not exist")
    if Path(out).is_relative_to(folder):
        raise SettingsError(f"{out} lies in the watched folder {source}: choose another")
    return folder


def _receive(name: str, out: str, settings: StreamSettings) -> None:
    from components.ingest.streaming.sources import ReadMessages
    from components.ingest.streaming.windows import build_pipeline

    options = [_READS_PUBSUB if option == _ENDS_FIRST else option for option in _options(settings)]
    with build_pipeline(ReadMessages(name, settings), out, settings, options):
        _log.info("receiving from %s", name)


def _watch(folder: Path, out: str, settings: StreamSettings) -> None:
    from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

    from components.ingest.streaming.sources import WatchFolder
    from components.ingest.streaming.windows import build_pipeline

    options = _options(settings)
    ends = _window_ends(settings.window) if _ENDS_FIRST in options else iter([MAX_TIMESTAMP])
    _log.info("watching %s", folder)
    for end in ends:
        source = WatchFolder(folder, out, settings, Timestamp.of(end))
        with build_pipeline(source, out, settings, options):
            pass


def _window_ends(window: int) -> Iterator[float]:
    """The end of the window under way, and of each that follows, when it has begun."""
    while True:
        end = (time.time() // window + 1) * window
        yield end
        # The last look at a folder was before it.
        time.sleep(max(0.0, end - time.time()))


def _options(settings: StreamSettings) -> list[str]:
    return [*beam_arguments(settings.beam_options), "--streaming"]


def _stop(*_: object) -> NoReturn:
    """Ends the process at once; what the window under way has found is found again when it starts.

    As an exception, an interrupt leaves threads of Beam's in-process runner that never end.
    """
    _log.info("stopped")
    os._exit(0)


if __name__ == "__main__":
    with handled_signals(_stop, (signal.SIGINT, signal.SIGTERM)):
        step_command(stream)

"""A database here that follows the one in a bucket, for a page that lives for days."""

import contextlib
import logging
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from components.monitor.state.folder import fetched, newest_number
from darkroom.errors import StepError
from darkroom.storage.paths import is_uri

EVERY = 60.0
"""Seconds between two looks at the bucket."""
_log = logging.getLogger("darkroom.monitor")


@contextlib.contextmanager
def followed(location: str, every: float = EVERY) -> Iterator[Path]:
    """Gives the database to look at, a folder's own, or a copy that is replaced by newer ones.

    Args:
        location: A folder, or a bucket's URI.
        every: Seconds between two looks at a bucket.

    Raises:
        StepError: The bucket cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder, fetched(location) as state:
        if not is_uri(location):
            yield state.database
            return
        here = Path(folder) / state.database.name
        if state.number:
            state.database.rename(here)
        ended = threading.Event()
        looks = threading.Thread(target=_follow, args=(location, here, state.number, every, ended))
        looks.start()
        try:
            yield here
        finally:
            ended.set()
            looks.join()


def _follow(location: str, here: Path, number: int, every: float, ended: threading.Event) -> None:
    while not ended.wait(every):
        try:
            if newest_number(location) > number:
                with fetched(location) as state:
                    number = state.number
                    _replace(state.database, here)
        except StepError as error:
            _log.warning("the page shows what was known before: %s", error)


def _replace(newer: Path, here: Path) -> None:
    beside = here.with_name(f".{here.name}")
    newer.rename(beside)
    beside.replace(here)

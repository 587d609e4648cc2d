"""The version of a run's data: what changes whenever what ingest would read does."""

import hashlib
import stat
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.ingest.settings import IngestSettings
from components.ingest.sources.archive import is_archive
from components.ingest.sources.digits import DIGITS
from components.ingest.sources.parts import places_of
from components.ingest.sources.source import read_source
from darkroom.artifacts.manifest import content_digest
from darkroom.settings import validate_settings
from darkroom.storage.paths import is_uri

_SETTLED_AFTER = 2.0
"""Seconds after which a file system gives a file that is written again another time."""


def data_version(data: str, settings: Mapping[str, Any]) -> str:
    """Digests what ingest is about to read.

    A table counts by its rows, a photograph by its name, size, inode and times. Its times include
    that of the inode's last change, which no program can set: whoever puts back an old date after
    a change is found out. A photograph changed only just now counts by its content, since a
    further change might leave its times as they are. Touching one costs no more than an ingest.

    Args:
        data: As the config has it.
        settings: The ingest step's settings.

    Raises:
        DarkroomError: The data cannot be read.
    """
    checked = validate_settings(IngestSettings, settings)
    digest = hashlib.sha256()
    for place, its_settings in places_of(data, checked):
        digest.update(_version(place, its_settings).encode())
    return digest.hexdigest()


def _version(data: str, settings: IngestSettings) -> str:
    """The version of one place that ingest reads."""
    if data == DIGITS:  # they come with scikit-learn, whose version the cache knows
        return data
    if is_uri(data):
        return _remote_digest(data, settings)
    unsettled = time.time() - _SETTLED_AFTER
    if is_archive(data):
        return _state(data, unsettled)
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory() as unused:
        table = read_source(data, Path(unused), settings)
    locations = [row.location for row in table.rows] + [row.mask for row in table.rows if row.mask]
    if any(map(is_uri, locations)):
        return _remote_digest(data, settings)
    for part in (*table.rows, *table.rejections):
        digest.update(f"{part!r}\n".encode())
    for location in locations:
        digest.update(f"{_state(location, unsettled)}\n".encode())
    return digest.hexdigest()


def _state(location: str, unsettled: float) -> str:
    """What changes when a file does."""
    try:
        found = Path(location).stat()
        if not stat.S_ISREG(found.st_mode):
            return "no regular file"
        if max(found.st_ctime, found.st_mtime) > unsettled:
            return content_digest(Path(location))
        return f"{found.st_size} {found.st_ino} {found.st_mtime_ns} {found.st_ctime_ns}"
    except OSError:
        return "missing"


def _remote_digest(data: str, settings: IngestSettings) -> str:
    # It lists through Beam, which takes a while to import.
    from components.ingest.fingerprint import fingerprint

    return fingerprint(data, settings)

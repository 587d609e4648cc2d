"""A digest of what ingest is about to read, from file listings alone."""

import hashlib
import importlib.metadata
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from components.ingest.settings import IngestSettings
from components.ingest.shards.chunk import fingerprint as row_fingerprint
from components.ingest.sources.archive import is_archive
from components.ingest.sources.digits import DIGITS
from components.ingest.sources.parts import places_of
from components.ingest.sources.rows import Row
from components.ingest.sources.source import read_source
from darkroom.artifacts.manifest import MANIFEST
from darkroom.sources.storage import opened


def fingerprint(data: str, settings: IngestSettings) -> str:
    """Digests what ingest would read, so that equal digests mean equal examples.

    Photographs are not opened: a file counts as changed when its name, its size or the time of
    its last writing did, a table when its rows did, an earlier run when its manifest did.

    Args:
        data: As ingest takes it.
        settings: Ingest's settings.

    Returns:
        The digest.

    Raises:
        SettingsError: `data`, or the examples of an earlier run, cannot be read.
        StepError: There is no row in it, or a table that does not parse.
    """
    digest = hashlib.sha256()
    for earlier in (settings.previous, settings.expectations.previous):
        if earlier is not None:
            with opened(f"{earlier}/{MANIFEST}") as manifest:
                digest.update(manifest.read())
    for place, its_settings in places_of(data, settings):
        if place == DIGITS:
            # Their files are written again every time, and always the same.
            digest.update(importlib.metadata.version("scikit-learn").encode())
            continue
        for state in _states(place, its_settings):
            digest.update(state.encode())
    return digest.hexdigest()


def photograph_states(data: str, settings: IngestSettings) -> list[str]:
    """For every row of what ingest would read, a text that changes when it or its files do.

    Args:
        data: As ingest takes it.
        settings: Ingest's settings.

    Raises:
        SettingsError: `data` cannot be read.
        StepError: There is no row in it, or a table that does not parse.
    """
    return [state for place, its in places_of(data, settings) for state in _states(place, its)]


def _states(place: str, settings: IngestSettings) -> list[str]:
    """The same of one place."""
    if is_archive(place):
        status = Path(place).stat()
        return [f"{place} {status.st_size} {status.st_mtime_ns}"]
    with tempfile.TemporaryDirectory() as digits_folder:
        table = read_source(place, Path(digits_folder), settings)
        return [*_marks(table.rows), *map(repr, table.rejections)]


def _marks(rows: Iterable[Row]) -> Iterator[str]:
    """For every row, what changes when it or its files do."""
    for row in rows:
        yield row_fingerprint(row) or repr(row)

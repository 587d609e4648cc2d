"""Sizes and versions of files in stores: a folder is listed once for all its files."""

import dataclasses
import posixpath
from collections.abc import Iterable, Sequence

from components.ingest.sources.rows import Row
from components.ingest.sources.storage import listed_files
from darkroom.errors import SettingsError
from darkroom.storage.files import StoredFile
from darkroom.storage.paths import is_uri


def with_versions(rows: Sequence[Row]) -> Sequence[Row]:
    """Rows with the sizes and versions of their files, where those are in a store.

    A folder that may be read but not listed leaves its rows as they are: they are read each time.
    """
    locations = {path for row in rows for path in (row.location, row.mask) if path and is_uri(path)}
    if not locations:
        return rows
    files = _listed(locations)
    return [_versioned(row, files) for row in rows]


def _listed(locations: Iterable[str]) -> dict[str, StoredFile]:
    found: dict[str, StoredFile] = {}
    for folder in sorted({posixpath.dirname(location) for location in locations}):
        try:
            found |= {file.location: file for file in listed_files(f"{folder}/*")}
        except SettingsError:
            continue
    return found


def _versioned(row: Row, files: dict[str, StoredFile]) -> Row:
    file = files.get(row.location)
    mask = files.get(row.mask or "")
    if file is None or (row.mask is not None and mask is None):
        return row
    states = [(each.size, each.modified) for each in (file, mask) if each is not None]
    # A store that tells no times cannot tell a file that was written again.
    known = all(modified for _, modified in states)
    return dataclasses.replace(row, size=file.size, version=repr(states) if known else "")

"""Sizes and versions of files in stores: a folder is listed once for all its files."""

import dataclasses
import glob
import posixpath
from collections.abc import Sequence

from components.ingest.sources.rows import Row
from darkroom.errors import SettingsError
from darkroom.sources.storage import listed_files
from darkroom.storage.files import StoredFile
from darkroom.storage.paths import is_uri


class Versions:
    """Knows the folders of a store that rows lie in; each is listed when a row first asks."""

    def __init__(self) -> None:
        self._files: dict[str, dict[str, StoredFile]] = {}

    def of(self, rows: Sequence[Row]) -> list[Row]:
        """Rows with the sizes and versions of their files, where those are in a store.

        A folder that may be read but not listed leaves its rows as they are: they are read each
        time.
        """
        return [
            self._versioned(row) if is_uri(row.location) and not row.version else row
            for row in rows
        ]

    def _versioned(self, row: Row) -> Row:
        file = self._file(row.location)
        mask = None if row.mask is None else self._file(row.mask)
        if file is None or (row.mask is not None and mask is None):
            return row
        version = version_of([each for each in (file, mask) if each is not None])
        return dataclasses.replace(row, size=file.size, version=version)

    def _file(self, location: str) -> StoredFile | None:
        folder = posixpath.dirname(location)
        if is_uri(location) and folder not in self._files:
            try:
                listed = listed_files(f"{glob.escape(folder)}/*")
            except SettingsError:
                listed = []
            self._files[folder] = {file.location: file for file in listed}
        return self._files.get(folder, {}).get(location)


def version_of(files: Sequence[StoredFile]) -> str:
    """What changes when one of some files of a store does; empty where it tells no times."""
    # A store that tells no times cannot tell a file that was written again.
    if not all(file.modified for file in files):
        return ""
    return repr([(file.size, file.modified) for file in files])

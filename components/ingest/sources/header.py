"""What a glance tells of the data before anything runs: its columns and its labels."""

import dataclasses
import itertools
import os
from collections.abc import Mapping
from pathlib import Path

from components.ingest.settings import IngestSettings
from components.ingest.sources.archive import is_archive
from components.ingest.sources.layout import layout_of
from components.ingest.sources.parts import has_any
from components.ingest.sources.source import read_tables
from components.ingest.splits.split import named_split
from darkroom.artifacts.examples import normalized
from darkroom.sources.file_names import is_left_by_systems
from darkroom.sources.storage import local_files
from darkroom.sources.table_records import Seen, is_json_lines, read_records
from darkroom.storage.paths import is_uri

_LINES_READ = 1000
_BYTES_READ = 20_000_000
"""Tables of up to so many bytes are read whole: that takes a second or two."""
_FOLDERS_LISTED = 1000


@dataclasses.dataclass(frozen=True)
class Known:
    """What is known of the data; what a glance cannot tell is None.

    Attributes:
        labels: The labels there may be, sorted.
        multi_label: Whether photographs have several labels each.
        types: Type (`bytes`, `int` or `float`) of every extra column.
    """

    labels: tuple[str, ...] | None = None
    multi_label: bool | None = None
    types: Mapping[str, str] | None = None


def known_data(data: str, settings: IngestSettings) -> Known:
    """What is known of the input before it is ingested.

    Args:
        data: As `read_source` takes it.
        settings: The ingest step's settings.

    Raises:
        SettingsError: It cannot be read.
        StepError: It is no table that ingest reads.
    """
    known = _glance(data, settings)
    for place in filter(has_any, settings.further_data):
        known = _together(known, _glance(place, settings.of_further_data()))
    if settings.labels is not None:
        known = dataclasses.replace(known, labels=tuple(sorted(set(settings.labels))))
    if settings.label_separator is not None or settings.conflicting_labels == "keep":
        known = dataclasses.replace(known, multi_label=True)
    return known


def _together(one: Known, other: Known) -> Known:
    """What is known of two places; what is not known of either is not known."""
    labels, several, types = None, None, None
    if one.labels is not None and other.labels is not None:
        labels = tuple(sorted({*one.labels, *other.labels}))
    if one.multi_label is not None and other.multi_label is not None:
        several = one.multi_label or other.multi_label
    if one.types is not None and other.types is not None:
        types = {**other.types, **one.types}
    return Known(labels, several, types)


def _glance(data: str, settings: IngestSettings) -> Known:
    if is_uri(data) or not data:
        return Known()
    if data == "sklearn:digits":
        return Known(tuple("0123456789"), False, {})
    if Path(data).is_dir():
        return Known(_folder_labels(data), False, {})
    if is_archive(data):
        return Known(None, False, {})
    files = local_files(data)
    if sum(Path(file).stat().st_size for file in files) > _BYTES_READ:
        return Known()
    table = read_tables(files, settings)
    labels = {label for row in table.rows for label in row.labels or (row.label,)} - {""}
    several = any(row.labels for row in table.rows)
    return Known(tuple(sorted(labels)) if labels else None, several, table.columns)


def _folder_labels(data: str) -> tuple[str, ...] | None:
    """The label folders, or those within folders of splits; None where there are very many."""
    names = _folders(data)
    if names and all(named_split(name) for name in names):
        names = [inner for name in names for inner in _folders(f"{data}/{name}")]
    if not names or len(names) >= _FOLDERS_LISTED:
        return None
    return tuple(sorted({normalized(name) for name in names}))


def _folders(place: str) -> list[str]:
    """Folders among the first entries, of which there may be a million."""
    with os.scandir(place) as entries:
        listed = itertools.islice(entries, _FOLDERS_LISTED)
        return [e.name for e in listed if not is_left_by_systems(e.name) and e.is_dir()]


def known_columns(data: str, settings: IngestSettings) -> list[str] | None:
    """The names of the input's extra columns, with those of further data, in a glance.

    Args:
        data: As `read_source` takes it.
        settings: The ingest step's settings.

    Returns:
        The names; none for folders and archives. None where a glance cannot tell: tables in
        buckets, and long files of JSON Lines, in which any line may have names of its own.

    Raises:
        SettingsError: A file cannot be read.
        StepError: It is no table, or lacks the columns of image and label.
    """
    found = _columns(data, settings)
    for place in filter(has_any, settings.further_data):
        more = _columns(place, settings.of_further_data())
        found = None if found is None or more is None else list(dict.fromkeys((*found, *more)))
    return found


def _columns(data: str, settings: IngestSettings) -> list[str] | None:
    if is_uri(data):
        return None
    if not data or data.startswith("sklearn:") or Path(data).is_dir() or is_archive(data):
        return []
    seen, layout = Seen(), layout_of(settings)
    for location in local_files(data):
        count = sum(1 for _ in itertools.islice(read_records(location, layout, seen), _LINES_READ))
        if is_json_lines(location) and count == _LINES_READ:
            return None
    return list(seen.types.types())

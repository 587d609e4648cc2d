"""The columns that a table says it has, read before anything runs."""

import itertools
from pathlib import Path

from components.ingest.settings import IngestSettings
from components.ingest.sources.archive import is_archive
from components.ingest.sources.columns import ColumnTypes
from components.ingest.sources.storage import local_files
from components.ingest.sources.table_records import is_json_lines, read_records
from darkroom.storage.paths import is_uri

_LINES_READ = 1000


def known_columns(data: str, settings: IngestSettings) -> list[str] | None:
    """The names of the input's extra columns, in a glance.

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
    if is_uri(data):
        return None
    if not data or data.startswith("sklearn:") or Path(data).is_dir() or is_archive(data):
        return []
    columns = ColumnTypes()
    for location in local_files(data):
        count = sum(
            1 for _ in itertools.islice(read_records(location, settings, columns), _LINES_READ)
        )
        if is_json_lines(location) and count == _LINES_READ:
            return None
    return list(columns.types())

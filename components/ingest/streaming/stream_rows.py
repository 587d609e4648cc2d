"""What arrives, as lines of a JSON Lines table: the one form in which a window is read."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from components.ingest.settings import IngestSettings, StreamSettings
from components.ingest.sources.folder import folder_table
from components.ingest.sources.layout import layout_of
from components.ingest.sources.rows import Table
from components.ingest.sources.source import read_tables
from darkroom.artifacts.rejected import Reason, Rejection
from darkroom.errors import StepError
from darkroom.sources.file_names import is_left_by_systems
from darkroom.sources.table_records import extra_columns
from darkroom.storage.files import StoredFile

ROWS_FILE = "rows.jsonl"
_LINE_BREAKS = str.maketrans("\r\n", "  ")


def lines_of_message(
    data: bytes, attributes: Mapping[str, str], settings: StreamSettings
) -> Iterator[str]:
    """The row of a Pub/Sub message, if it is about one.

    Args:
        data: A JSON object such as `{"image": "gs://bucket/a.jpg", "label": "rose"}`; or anything,
            where the attributes are those of a Cloud Storage notification.
        attributes: The message's attributes.
        settings: The names of the columns, and the folder that the label folders lie in.
    """
    if "objectId" not in attributes or "bucketId" not in attributes:
        yield data.decode(errors="backslashreplace").translate(_LINE_BREAKS)
        return
    bucket = f"gs://{attributes['bucketId']}"
    location = f"{bucket}/{attributes['objectId']}"
    root = (settings.folder or bucket).rstrip("/") + "/"
    name = location.removeprefix(root)
    is_new = attributes.get("eventType") == "OBJECT_FINALIZE"
    if is_new and name != location and not is_left_by_systems(name):
        yield from lines_of_folder(
            folder_table([(name, StoredFile(location, 0, 0.0))]), root, settings.ingest
        )


def lines_of_folder(table: Table, root: str, settings: IngestSettings) -> Iterator[str]:
    """The rows of a folder of label folders, each with its location for image."""
    for row in table.rows:
        yield _line({settings.image_column: row.location, settings.label_column: row.label})
    for rejection in table.rejections:
        # Without a label, and so refused once more, with the reason that fits.
        yield _line({settings.image_column: f"{root}{rejection.row['image']}"})


def _line(cells: Mapping[str, str]) -> str:
    return json.dumps(cells, ensure_ascii=False)


def read_stream_rows(
    lines: Iterable[str], folder: Path, window: str, settings: IngestSettings
) -> Table:
    """Reads a window's lines as the table that the batch mode reads.

    Args:
        lines: The lines.
        folder: Where `rows.jsonl` is written, which is the table.
        window: Where it will stand in the end.
        settings: The ingest step's settings.
    """
    kept: list[str] = []
    refused: list[Rejection] = []
    for line in lines:
        detail = _fault(line, settings)
        if detail is None:
            kept.append(line)
        else:
            refused.append(Rejection({"text": line}, Reason.MALFORMED_ROW, detail))
    rows = folder / ROWS_FILE
    rows.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    table = read_tables([str(rows)], settings)
    named = [_renamed(rejection, f"{window}/{rows.name}") for rejection in table.rejections]
    return Table(table.rows, [*refused, *named], table.columns)


def _fault(line: str, settings: IngestSettings) -> str | None:
    """Why a line cannot be in a table at all: it would stop every reader of the table."""
    if not line.strip():
        return "the message is empty"
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None  # The table's reader says what is wrong.
    try:
        extra_columns(found if isinstance(found, dict) else (), layout_of(settings))
    except StepError as error:
        return str(error)
    return None


def _renamed(rejection: Rejection, file: str) -> Rejection:
    return Rejection({**rejection.row, "file": file}, rejection.reason, rejection.detail)

"""What a labelling tool exports: Label Studio's JSON, JSON-MIN and CSV, and worksheets filled in.

All annotations are read, whoever made them: `agreement.py` says what they agree on.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from components.monitor.labelling.tasks import IMAGE_ID, OBJECT, SOURCE
from darkroom.artifacts.rejected import Reason, RejectedError, Rejection
from darkroom.errors import SettingsError, StepError
from darkroom.label_studio import (
    CONTROL,
    annotations,
    chosen_labels,
    is_task,
    writable_text,
)
from darkroom.storage.files import clear_errors, read_bytes

KEY = "key"


class Annotation(NamedTuple):
    """What somebody said of a photograph.

    Attributes:
        image_id: SHA-256 of the photograph's file; empty where the tool was not told it.
        image: Its path or URI.
        labels: The labels, sorted.
        annotator: Who said so; empty if that is not known.
        updated: When, as the tool writes it (times of one tool sort as text); empty if not known.
        key: What the photograph was called in the request to the server, of tasks that say so.
    """

    image_id: str
    image: str
    labels: tuple[str, ...]
    annotator: str
    updated: str
    key: str = ""

    @property
    def photograph(self) -> str:
        """What tells photographs apart."""
        return self.image_id or self.key or self.image


class Export(NamedTuple):
    """What was read of an export.

    Attributes:
        annotations: In the order of the file.
        skipped: What is no annotation, with the reason: cancelled, empty, or not to be understood.
    """

    annotations: list[Annotation]
    skipped: list[Rejection]


def read_export(location: str, separator: str | None = None) -> Export:
    """Reads an export; its format is told by its content.

    Args:
        location: Path or URI of the file.
        separator: What stands between labels in a cell of a CSV, where photographs have several,
            such as `ingest.label_separator`; Label Studio's own lists need none.

    Raises:
        SettingsError: The file cannot be read.
        StepError: It is no UTF-8, no JSON that Label Studio exports, or a CSV without the columns
            of the photograph and its label.
    """
    with clear_errors(f"cannot read {location}", SettingsError):
        content = read_bytes(location)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise StepError(f"{location} is not UTF-8: export it again, or save it as UTF-8") from None
    found = Export([], [])
    rows, between = _csv_rows(location, text), separator
    if text.lstrip()[:1] in ("[", "{"):  # JSON, whose text is one label, whatever it holds
        rows, between = _json_rows(location, text), None
    for row, given in rows:
        try:
            found.annotations.append(_annotation(given, between))
        except RejectedError as error:
            found.skipped.append(Rejection(row, error.reason, error.detail))
    return found


def _json_rows(location: str, text: str) -> Iterator[tuple[Mapping[str, Any], Any]]:
    """Where each annotation of JSON stood, and its fields; of a task without one, the task's."""
    try:
        tasks = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StepError(f"{location} is cut off or no JSON: {error}") from None
    if not isinstance(tasks, list):
        raise StepError(f"{location} holds no list of tasks: export as JSON, JSON-MIN or CSV")
    if tasks and not any(isinstance(task, dict) for task in tasks):
        raise StepError(f"{location} holds no tasks: export as JSON, JSON-MIN or CSV")
    for number, task in enumerate(tasks, 1):
        row = {"file": location, "task": number}
        for given in annotations(task) if is_task(task) else [task]:
            yield row, given


def _csv_rows(location: str, text: str) -> Iterator[tuple[Mapping[str, Any], Any]]:
    """Where each row of a CSV stood, and its cells."""
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        names = reader.fieldnames or ()
        if CONTROL not in names or not {IMAGE_ID, KEY, SOURCE, OBJECT} & set(names):
            raise StepError(
                f"{location} has no columns '{CONTROL}' and '{IMAGE_ID}' or '{OBJECT}': label with "
                "the interface that was written beside the tasks"
            )
        for cells in reader:
            yield {"file": location, "line": reader.line_num}, cells
    except csv.Error as error:
        raise StepError(f"{location} line {reader.line_num}: {error}") from None


def _annotation(given: Any, separator: str | None) -> Annotation:
    """Parses an annotation's fields.

    Raises:
        RejectedError: It is cancelled, empty, or not to be understood.
    """
    if not isinstance(given, dict):
        raise RejectedError(Reason.MALFORMED_ROW, "it is no annotation of a task")
    image_id, image = _text(given.get(IMAGE_ID)), _text(given.get(SOURCE) or given.get(OBJECT))
    key = _text(given.get(KEY))
    if not (photograph := image_id or key or image):
        raise RejectedError(Reason.MISSING_FILE, "it names no photograph")
    annotator = _annotator(given.get("annotator"))
    if given.get("was_cancelled"):
        raise RejectedError(Reason.NO_LABEL, f"{photograph} is cancelled by {annotator!r}")
    if not (labels := chosen_labels(given.get(CONTROL), separator)):
        raise RejectedError(Reason.NO_LABEL, f"{photograph} has no label")
    updated = _text(given.get("updated_at") or given.get("created_at"))
    return Annotation(image_id, image, tuple(labels), annotator, updated, key)


def _annotator(value: Any) -> str:
    """The name of who annotated: Label Studio gives a number, an address or an object."""
    if isinstance(value, dict):
        value = value.get("email") or value.get("id")
    return _text(value)


def _text(value: Any) -> str:
    """A field as text; what is no text nor number says nothing."""
    return writable_text(str(value).strip()) if isinstance(value, str | int | float) else ""

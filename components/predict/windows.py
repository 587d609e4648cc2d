"""Windows of arriving photographs, each a folder of predictions.

Beside them, `.arrived` has the rows of each window as they came: a message that is delivered again,
however late, belongs to the window of the time when it was sent, and is found there.
"""

import glob
import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from components.predict.predict import predict
from components.predict.settings import StreamSettings
from darkroom.artifacts.manifest import MANIFEST
from darkroom.errors import StepError
from darkroom.storage import files
from darkroom.storage.atomic import write_text
from darkroom.storage.folders import upload_folder
from darkroom.storage.paths import is_uri

_ARRIVED = ".arrived"


def write_window(lines: Iterable[str], start: float, out: str, settings: StreamSettings) -> str:
    """Predicts the rows of a window; those that were predicted before are left out.

    Args:
        lines: The rows, as lines of JSON.
        start: When it began, in seconds since 1970.
        out: Path or URI of the folder that windows go to.
        settings: How they are predicted.

    Returns:
        Path or URI of the folder that has the rows; of the last of them, where several have them.
    """
    stamp = datetime.fromtimestamp(start, UTC).strftime("%Y%m%dT%H%M%SZ")
    # In one order, whatever the order of arrival; a message that comes twice is one row.
    left, before = sorted(set(lines)), ""
    for window, arrived in _windows(out, stamp):
        if not arrived.isdisjoint(left):
            left, before = [line for line in left if line not in arrived], window
    if not left:
        return before
    text = "".join(f"{line}\n" for line in left)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    with files.written_to(f"{out}/{_ARRIVED}/{stamp}") as local:
        write_text(local / digest, text)
    window = f"{out}/{stamp}-{digest}"
    with tempfile.TemporaryDirectory() as temporary:
        table = Path(temporary) / "rows.jsonl"
        table.write_text(text, encoding="utf-8")
        given = settings.predict.model_copy(update={"data": (str(table),), "beam_options": ()})
        if not is_uri(window):
            predict(given, predictions=Path(window))
            return window
        local = Path(temporary) / "predictions"
        predict(given, predictions=local)
        upload_folder(local, window, last=(MANIFEST,))
    return window


def _windows(out: str, stamp: str) -> Iterator[tuple[str, set[str]]]:
    """The complete windows that began at a time, each with its rows."""
    with files.clear_errors(f"cannot read {out}", StepError):
        # A folder of its own for each time: a list of all would grow for ever.
        for file in files.list_files(f"{glob.escape(f'{out}/{_ARRIVED}/{stamp}')}/*"):
            window = f"{out}/{stamp}-{file.location.rpartition('/')[2]}"
            if files.size(f"{window}/{MANIFEST}"):
                yield window, set(files.read_bytes(file.location).decode().splitlines())

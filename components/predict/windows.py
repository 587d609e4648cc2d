"""Windows of arriving photographs, each a folder of predictions."""

import hashlib
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from components.predict.predict import predict
from components.predict.settings import StreamSettings
from darkroom.artifacts.manifest import MANIFEST
from darkroom.storage import files
from darkroom.storage.folders import upload_folder
from darkroom.storage.paths import is_uri


def write_window(lines: Iterable[str], start: float, out: str, settings: StreamSettings) -> str:
    """Predicts the rows of a window; one that is there already is left as it is.

    Args:
        lines: The rows, as lines of JSON.
        start: When it began, in seconds since 1970.
        out: Path or URI of the folder that windows go to.
        settings: How they are predicted.

    Returns:
        Path or URI of the window's folder.
    """
    # In one order, whatever the order of arrival; a message that comes twice is one row.
    text = "".join(f"{line}\n" for line in sorted(set(lines)))
    stamp = datetime.fromtimestamp(start, UTC).strftime("%Y%m%dT%H%M%SZ")
    window = f"{out}/{stamp}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    if files.size(f"{window}/{MANIFEST}"):
        return window
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

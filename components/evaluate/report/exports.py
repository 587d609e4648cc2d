"""What train measured of the model's further forms."""

import json
import logging
from pathlib import Path
from typing import Any

from darkroom.artifacts.model import EXPORTS_FILE

TITLES = {
    "saved_model": "SavedModel",
    "tflite": "TensorFlow Lite",
    "tflite_int8": "TensorFlow Lite, int8",
    "onnx": "ONNX",
}

_log = logging.getLogger("darkroom.evaluate")


def read_exports(model: Path) -> dict[str, Any] | None:
    """Reads what train measured; None where no further form was asked for.

    Args:
        model: The model's folder.

    Returns:
        `images`, the number of those compared, and `rows` of a table: strings `title` and `file`,
        numbers `megabytes` and `milliseconds`, and `difference` and `agreement`, which are None
        for the SavedModel itself.
    """
    path = model / EXPORTS_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        rows = [_row(form) for form in document["forms"]]
        return {"images": int(document["images"]), "rows": rows}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError) as error:
        _log.warning("the report goes without the further forms: cannot read %s (%s)", path, error)
        return None


def _row(form: dict[str, Any]) -> dict[str, Any]:
    difference, agreement = form.get("largest_difference"), form.get("agreement")
    return {
        "title": TITLES.get(form["form"], form["form"]),
        "file": form["file"],
        "megabytes": float(form["bytes"]) / 1e6,
        "milliseconds": float(form["milliseconds"]),
        "difference": None if difference is None else float(difference),
        "agreement": None if agreement is None else float(agreement),
    }

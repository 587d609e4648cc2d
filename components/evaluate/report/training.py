"""What train wrote into the model: the training history, and its measurements of exports."""

import dataclasses
import json
import logging
import math
from pathlib import Path
from typing import Any

from darkroom.artifacts.model import EXPORTS_FILE, HISTORY_FILE

TITLES = {
    "saved_model": "SavedModel",
    "tflite": "TensorFlow Lite",
    "tflite_int8": "TensorFlow Lite, int8",
    "tflite_integer": "TensorFlow Lite, whole numbers only",
    "onnx": "ONNX",
}

_log = logging.getLogger("darkroom.evaluate")


@dataclasses.dataclass(frozen=True)
class History:
    """The training history.

    Attributes:
        epochs: By epoch `epoch`, `phase` and the losses and metrics.
        best_epoch: The epoch whose weights were kept; None if unknown.
    """

    epochs: tuple[dict[str, Any], ...]
    best_epoch: int | None

    def curve(self, name: str) -> tuple[list[int], list[float]]:
        """Epochs and values of a loss or metric, for the epochs that have it."""
        points = [
            (int(entry["epoch"]), float(entry[name]))
            for entry in self.epochs
            if isinstance(entry.get(name), int | float) and math.isfinite(entry[name])
        ]
        return [epoch for epoch, _ in points], [value for _, value in points]

    @property
    def phase_starts(self) -> list[tuple[int, str]]:
        """The first epoch and the name of every phase."""
        starts: list[tuple[int, str]] = []
        for entry in self.epochs:
            phase = str(entry.get("phase", ""))
            if not starts or starts[-1][1] != phase:
                starts.append((int(entry["epoch"]), phase))
        return starts


def read_history(model: Path) -> History | None:
    """Reads a model's training history; None where there is none to read."""
    path = model / HISTORY_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        epochs = tuple(entry for entry in document["epochs"] if "epoch" in entry)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError) as error:
        _log.warning("the report has no training curves: cannot read %s (%s)", path, error)
        return None
    return History(epochs, document.get("best_epoch")) if epochs else None


def read_exports(model: Path) -> dict[str, Any] | None:
    """Reads what train measured of the exported formats; None if there are none.

    Args:
        model: The model's folder.

    Returns:
        `images`, the number of images compared, `split`, whose images they are (None of patterns),
        and the `rows` of a table: strings `title` and `file`, numbers `megabytes` and
        `milliseconds`, `accuracy`, which is None of patterns, and `difference` and `agreement`,
        which are None for the SavedModel itself.
    """
    path = model / EXPORTS_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        rows = [_row(form) for form in document["forms"]]
        return {
            "images": int(document["images"]),
            "split": document.get("split"),
            "rows": rows,
        }
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError) as error:
        _log.warning("the report has no table of exports: cannot read %s (%s)", path, error)
        return None


def _row(form: dict[str, Any]) -> dict[str, Any]:
    optional = {
        name: None if (value := form.get(key)) is None else float(value)
        for name, key in {
            "accuracy": "accuracy",
            "difference": "largest_difference",
            "agreement": "agreement",
        }.items()
    }
    return {
        "title": TITLES.get(form["form"], form["form"]),
        "file": form["file"],
        "megabytes": float(form["bytes"]) / 1e6,
        "milliseconds": float(form["milliseconds"]),
    } | optional

"""The training history, as train writes it into the model."""

import dataclasses
import json
import logging
import math
from pathlib import Path
from typing import Any

from darkroom.artifacts.model import HISTORY_FILE

_log = logging.getLogger("darkroom.evaluate")


@dataclasses.dataclass(frozen=True)
class History:
    """The course of a training.

    Attributes:
        epochs: By epoch `epoch`, `phase` and the numbers measured.
        best_epoch: The epoch whose weights were kept; None where it is not known.
    """

    epochs: tuple[dict[str, Any], ...]
    best_epoch: int | None

    def curve(self, name: str) -> tuple[list[int], list[float]]:
        """Epochs and values of one number, where it was measured."""
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
        _log.warning("the report goes without training curves: cannot read %s (%s)", path, error)
        return None
    return History(epochs, document.get("best_epoch")) if epochs else None

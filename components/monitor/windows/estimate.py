"""The accuracy of a window estimated without its labels, beside what speaks against it."""

import sqlite3
from typing import Any

import numpy as np

from components.monitor.quality.estimated_accuracy import calibration, doubts, estimate_accuracy
from components.monitor.windows.reference import Reference

_DRAWS = 100
"""For the interval: a window takes a tenth of a second."""


def window_estimate(
    connection: sqlite3.Connection, version: str, window: int, reference: Reference
) -> dict[str, Any] | None:
    """Estimates a window's accuracy by how sure its answers are.

    Args:
        connection: The database.
        version: The model's version.
        window: The window.
        reference: Says how often answers of a confidence are right.

    Returns:
        JSON values: `accuracy`, `low` and `high`, and `doubts`, a sentence each; None where the
        reference has no valid photographs.
    """
    rows = connection.execute(
        "SELECT confidence FROM answers WHERE version = ? AND window = ? AND counted ORDER BY id",
        (version, window),
    )
    confidences = np.fromiter((confidence for (confidence,) in rows), np.float64)
    if not reference.valid or not confidences.size:
        return None
    known = calibration(*zip(*reference.valid, strict=True))
    found = estimate_accuracy(confidences, known, _DRAWS)
    return {
        "accuracy": found.accuracy,
        "low": found.interval.low,
        "high": found.interval.high,
        "doubts": list(doubts(confidences, known)),
    }

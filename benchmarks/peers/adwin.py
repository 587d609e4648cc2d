# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy", "river==0.26.*"]
# ///
"""The first window in which river's ADWIN detects a change, of each life, as a JSON list.

Usage: uv run --script benchmarks/peers/adwin.py FOLDER

Each file holds a life: its reference and windows, arrays [N, D], a column a detector. Detectors
have their defaults, and read the reference first.
"""

import json
import sys
from pathlib import Path

import numpy as np
from river.drift import ADWIN


def first_alarm(parts: list[np.ndarray]) -> int | None:
    """The first window with an alarm of any detector; None if there is none."""
    detectors = [ADWIN() for _ in range(parts[0].shape[1])]
    for window, rows in enumerate(parts, -1):
        for detector, values in zip(detectors, rows.T, strict=True):
            for value in values:
                detector.update(float(value))
                if window >= 0 and detector.drift_detected:
                    return window
    return None


if __name__ == "__main__":
    found = []
    for file in sorted(Path(sys.argv[1]).glob("*.npz")):
        with np.load(file) as held:
            found.append(first_alarm([held[f"arr_{place}"] for place in range(len(held.files))]))
    print(json.dumps(found))

"""Batch prediction in a fresh process, asked about all photographs of a proof at once."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.push.doors.door import Answer
from components.push.doors.numbers import probabilities_of
from darkroom.artifacts.batch_predictions import IMAGE_ID, PROBABILITIES, read_batch_predictions
from darkroom.errors import StepError
from darkroom.runtime.step_record import STEP_RECORDS_VARIABLE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_LONGEST = 600.0
"""Seconds after which the process is ended."""


class BatchPrediction:
    """The predictions that `components.predict` writes.

    Args:
        model: The SavedModel directory.
        images: The image files that will be asked for.

    Raises:
        StepError: It writes none.
    """

    name = "batch prediction"

    def __init__(self, model: Path, images: Sequence[bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self._found = _predictions(model, images, Path(folder))

    def ask(self, image: bytes) -> Answer:
        """Gives the answer to one of the photographs; see `Door`."""
        found = self._found.get(hashlib.sha256(image).hexdigest())
        if found is None:
            raise StepError(f"{self.name} rejects it")
        return Answer(found, None)

    def close(self) -> None:
        """The process has ended."""


def _predictions(
    model: Path, images: Sequence[bytes], folder: Path
) -> "dict[str, npt.NDArray[np.float32]]":
    (folder / "photographs").mkdir()
    for number, image in enumerate(images):
        (folder / "photographs" / f"{number:03d}").write_bytes(image)
    settings = {"data": str(folder / "photographs")}
    out = folder / "predictions"
    command = [sys.executable, "-m", "components.predict", "--model", str(model)]
    command += ["--settings", json.dumps(settings), "--predictions", str(out)]
    # It is a part of push here, and no step of the run.
    environment = {name: os.environ[name] for name in os.environ.keys() - {STEP_RECORDS_VARIABLE}}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, timeout=_LONGEST
        )
    except subprocess.TimeoutExpired:
        raise StepError(f"batch prediction does not end within {_LONGEST:g} seconds") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise StepError(f"batch prediction fails: {said[-1] if said else done.returncode}")
    predictions = read_batch_predictions(out)
    if not predictions.files:
        return {}
    table = predictions.table([IMAGE_ID, PROBABILITIES])
    rows = zip(table[IMAGE_ID].to_pylist(), table[PROBABILITIES].to_pylist(), strict=True)
    return {identity: probabilities_of(given, "batch prediction") for identity, given in rows}

"""The answers of batch predictions."""

from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from components.monitor.reading.answer import (
    FILE_FORMAT,
    MEASURES,
    Answer,
    BadAnswerError,
    parsed_answer,
)
from darkroom.artifacts.batch_predictions import (
    IMAGE_ID,
    LABEL,
    LABEL_INDEX,
    LABELS,
    MODEL_VERSION,
    PROBABILITIES,
    read_batch_predictions,
)
from darkroom.artifacts.manifest import PROVENANCE
from darkroom.errors import StepError

_TIME = "time"
_ANSWER = (IMAGE_ID, LABEL, LABEL_INDEX, PROBABILITIES, LABELS, MODEL_VERSION, "key", _TIME)


def predicted_answers(
    folder: Path, keep: Collection[str], problems: Counter[str]
) -> Iterator[Answer]:
    """Reads the answers of a batch prediction.

    Args:
        folder: The predictions artifact.
        keep: The columns to keep, to slice by.
        problems: Counts what is wrong, by reason.

    Raises:
        StepError: The artifact is missing or not complete, or does not say when it was made.
    """
    batch = read_batch_predictions(folder)
    began = batch.manifest.get(PROVENANCE, {}).get("started")
    version = batch.model_digest[:12] if batch.model_version is None else str(batch.model_version)
    for row in batch.read({*_ANSWER, *MEASURES, FILE_FORMAT, *keep}):
        time = row.get(_TIME) or began
        if time is None:
            raise StepError(f"{folder} does not say when it was made, and has no column 'time'")
        if LABELS in row:
            problems["several labels to a photograph"] += 1
            continue
        try:
            yield parsed_answer(row, str(row.get(MODEL_VERSION) or version), time, keep)
        except BadAnswerError as error:
            problems[str(error)] += 1

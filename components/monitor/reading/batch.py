"""The answers of batch predictions."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.monitor.reading.answer import (
    FILE_FORMAT,
    MEASURES,
    Answer,
    BadAnswerError,
    parsed_answer,
)
from darkroom.artifacts.batch_predictions import (
    EMBEDDING,
    IMAGE_ID,
    LABEL,
    LABEL_INDEX,
    LABELS,
    MODEL_VERSION,
    PROBABILITIES,
    BatchPredictions,
    read_batch_predictions,
)
from darkroom.artifacts.manifest import PROVENANCE
from darkroom.errors import StepError

Take = Callable[[str, str], bool]
Floats = npt.NDArray[np.float32]
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
    version = _version(batch)
    embedded = EMBEDDING in next(batch.read([EMBEDDING]), {})
    for row in batch.read({*_ANSWER, *MEASURES, FILE_FORMAT, *keep}):
        time = row.get(_TIME) or began
        if time is None:
            raise StepError(f"{folder} does not say when it was made, and has no column 'time'")
        if LABELS in row:
            problems["several labels to a photograph"] += 1
            continue
        try:
            answer = parsed_answer(row, str(row.get(MODEL_VERSION) or version), time, keep)
        except BadAnswerError as error:
            problems[str(error)] += 1
            continue
        yield answer._replace(pictured=True) if embedded else answer


def predicted_embeddings(folder: Path, take: Take) -> Iterator[tuple[str, str, Floats]]:
    """Reads embeddings of a batch prediction.

    Args:
        folder: The predictions artifact.
        take: Says of a version and a photograph whether its embedding is asked for.

    Yields:
        The version, the photograph's `image_id` and its embedding, float32 [D].
    """
    batch = read_batch_predictions(folder)
    version = _version(batch)
    for image_id, of_row, embedding in batch.embeddings():
        by = str(of_row or version)
        if take(by, image_id):
            yield by, image_id, embedding


def _version(batch: BatchPredictions) -> str:
    return batch.model_digest[:12] if batch.model_version is None else str(batch.model_version)

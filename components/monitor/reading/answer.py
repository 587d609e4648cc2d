"""An answer of the model, as the monitor keeps it."""

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import groupby, islice
from typing import Any, NamedTuple

import numpy as np

from components.monitor.drift.answers import confidences, entropies
from darkroom.artifacts.batch_predictions import IMAGE_ID, LABEL, LABEL_INDEX, PROBABILITIES
from darkroom.artifacts.examples import label_text
from darkroom.labels import is_unicode, parsed_time

MEASURES = ("height", "width", "brightness", "contrast", "sharpness")
"""What may be known of a photograph, all numbers; ingest's statistics have the same."""
FILE_FORMAT = "file_format"
_CHUNK = 5000
_FIRST = 946_684_800.0


class Answer(NamedTuple):
    """An answer.

    Attributes:
        version: The model's version.
        image_id: SHA-256 of the photograph's file.
        key: That of the request; None without one.
        time: When it was given, in seconds since 1970.
        label: The label that was given.
        label_index: The label's place among the probabilities.
        probabilities: float32 [K], its bytes.
        columns: What is known of the photograph, to slice by.
        file_format: Such as `JPEG`; None if that is not known.
        measures: Of each of `MEASURES`, None if it is not known.
        pictured: Whether the source has the photograph itself, or its embedding.
    """

    version: str
    image_id: str
    key: str | None
    time: float
    label: str
    label_index: int
    probabilities: bytes
    columns: Mapping[str, Any]
    file_format: str | None
    measures: tuple[float | None, ...]
    pictured: bool = False


class BadAnswerError(ValueError):
    """A row that is no answer; its text is the reason, of few kinds, to be counted."""


def parsed_answer(row: Mapping[str, Any], version: str, time: Any, keep: Collection[str]) -> Answer:
    """Reads an answer.

    Args:
        row: By column, as a server's sample or a batch prediction has it.
        version: The model's version.
        time: Seconds since 1970, or text.
        keep: The columns to keep, to slice by.

    Raises:
        BadAnswerError: It is none.
    """
    probabilities = row.get(PROBABILITIES)
    if not isinstance(probabilities, list) or len(probabilities) < 2:
        raise BadAnswerError("no probabilities")
    try:
        values = np.asarray(probabilities, np.float32)
        seconds = parsed_time(time)
        index = int(row.get(LABEL_INDEX, values.argmax()))
    except (TypeError, ValueError, OverflowError):
        raise BadAnswerError("a number or time that is none") from None
    if (
        values.ndim != 1
        or not np.isfinite(values).all()
        or values.min() < 0
        or values.max() > 1 + 1e-6
    ):
        raise BadAnswerError("probabilities that are not from 0 to 1")
    if seconds is None:
        raise BadAnswerError("no time")
    if seconds < _FIRST:
        raise BadAnswerError("a time before 2000, of a clock that was never set")
    if not row.get(IMAGE_ID) or row.get(LABEL) is None:
        raise BadAnswerError("no image_id or label")
    if not 0 <= index < len(values):
        raise BadAnswerError("a label_index that is none")
    columns = {name: row[name] for name in keep if _is_value(row.get(name))}
    key = row.get("key")
    answer = Answer(
        version,
        str(row[IMAGE_ID]),
        None if key in (None, "") else str(key),
        seconds,
        label_text(row[LABEL]),
        index,
        values.tobytes(),
        columns,
        None if row.get(FILE_FORMAT) is None else str(row[FILE_FORMAT]),
        tuple(map(_number, map(row.get, MEASURES))),
    )
    texts = (
        version,
        answer.image_id,
        answer.key,
        answer.label,
        answer.file_format,
        *columns.values(),
    )
    if not all(map(is_unicode, texts)):
        raise BadAnswerError("a text that is no Unicode")
    return answer


def _is_value(value: Any) -> bool:
    """Whether a column has a value, which JSON can write."""
    return value not in (None, "") and not (isinstance(value, float) and not math.isfinite(value))


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def database_rows(answers: Iterable[Answer]) -> Iterator[tuple[Any, ...]]:
    """Answers as `add_answers` takes them: with confidence and entropy, by the thousand."""
    remaining = iter(answers)
    while chunk := list(islice(remaining, _CHUNK)):
        for size, group in groupby(chunk, lambda answer: len(answer.probabilities)):
            same = list(group)
            joined = b"".join(answer.probabilities for answer in same)
            values = np.frombuffer(joined, np.float32).reshape(-1, size // 4)
            # The entropy's sum divides by the row's own: one of zeros has none, and is no idea.
            spread = np.where(values.sum(axis=1, keepdims=True) > 0, values, 1)
            measured = zip(confidences(values), entropies(spread), strict=True)
            for answer, (confidence, entropy) in zip(same, measured, strict=True):
                yield (
                    *answer[:7],
                    float(confidence),
                    float(entropy),
                    json.dumps(answer.columns, ensure_ascii=False, default=str),
                    answer.file_format,
                    *answer.measures,
                    answer.pictured,
                )

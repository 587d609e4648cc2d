"""The predictions of a shard: the one definition, whether Beam's workers or this process do it."""

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from components.predict.models.model import (
    Facts,
    Model,
    Outputs,
    TooLargeError,
    UnreadableError,
)
from components.predict.photographs import Batch, Photograph, batches, read_ahead, read_photographs
from components.predict.settings import PredictSettings
from components.predict.work import Shard, Work
from darkroom.artifacts import batch_predictions as predicted
from darkroom.artifacts.model import split_labels
from darkroom.artifacts.rejected import Reason, Rejection
from darkroom.errors import StepError
from darkroom.sources.columns import convert

_Answered = tuple[Sequence[Photograph], Outputs] | Rejection
_OfShard = tuple[Shard, Batch | None]
_TYPES = {"bytes": pa.string(), "int": pa.int64(), "float": pa.float64()}


class Outcome(NamedTuple):
    """What became of a shard's rows.

    Attributes:
        table: The predictions, in the order of the rows; None where every row was refused.
        rejections: The rows that were refused.
    """

    table: pa.Table | None
    rejections: list[Rejection]


def predict_shards(
    shards: Iterable[Shard],
    work: Work,
    model: Model,
    settings: PredictSettings,
    advance: Callable[[int], object] = lambda _: None,
) -> Iterator[tuple[Shard, Outcome]]:
    """Asks a model about the photographs of shards, one after the other.

    While it answers, the next photographs are read; at a shard's end those of the next one.

    Args:
        shards: The shards.
        work: The work that they are of.
        model: The model.
        settings: The predict step's settings.
        advance: Called with the number of rows that were done.

    Yields:
        A shard, and what became of its rows.

    Raises:
        StepError: The model does not answer, another has taken its place, or a shard cannot be
            read.
    """
    tables: list[pa.Table] = []
    rejections: list[Rejection] = []
    read = read_ahead(_read(shards, work, settings))
    for (shard, batch), answers in _in_order(
        functools.partial(_asked, model), read, model.parallel
    ):
        if batch is None:
            model.check()
            yield shard, Outcome(pa.concat_tables(tables) if tables else None, rejections)
            tables, rejections = [], []
            continue
        rejections += [each for each in batch if isinstance(each, Rejection)]
        for answered in answers:
            if isinstance(answered, Rejection):
                rejections.append(answered)
            else:
                tables.append(_table(*answered, model.facts, work.columns))
        advance(len(batch))


def _read(shards: Iterable[Shard], work: Work, settings: PredictSettings) -> Iterator[_OfShard]:
    """The batches of shards, each shard's followed by its end."""
    for shard in shards:
        for batch in batches(read_photographs(shard, work, settings), settings):
            yield shard, batch
        yield shard, None


def _in_order(
    function: Callable[[_OfShard], list[_Answered]], read: Iterator[_OfShard], parallel: int
) -> Iterator[tuple[_OfShard, list[_Answered]]]:
    """Batches with their answers, in order, some of them asked about at a time."""
    under_way: deque[tuple[_OfShard, Future[list[_Answered]]]] = deque()
    with ThreadPoolExecutor(parallel) as threads:
        for batch in read:
            under_way.append((batch, threads.submit(function, batch)))
            if len(under_way) > parallel:
                first, answer = under_way.popleft()
                yield first, answer.result()
        for first, answer in under_way:
            yield first, answer.result()


def _asked(model: Model, read: _OfShard) -> list[_Answered]:
    _, batch = read
    return list(_answers(model, [each for each in batch or () if isinstance(each, Photograph)]))


def _answers(model: Model, photographs: Sequence[Photograph]) -> Iterator[_Answered]:
    """The model's answers; a photograph that it cannot read costs the others none."""
    if not photographs:
        return
    try:
        outputs = model.ask([each.data for each in photographs])
    except UnreadableError as error:
        is_too_large = isinstance(error, TooLargeError)
        if not is_too_large and any(each.data is not each.converted for each in photographs):
            yield from _answers(model, [each._replace(data=each.converted) for each in photographs])
        elif len(photographs) == 1 and is_too_large:
            yield photographs[0].rejected(Reason.UNSUPPORTED, f"too large for the model: {error}")
        elif len(photographs) == 1:
            yield photographs[0].rejected(Reason.CORRUPT, f"the model cannot read it: {error}")
        else:
            middle = len(photographs) // 2
            for half in (photographs[:middle], photographs[middle:]):
                yield from _answers(model, half)
        return
    for name, values in outputs.items():
        if len(values) != len(photographs):
            raise StepError(
                f"the model gives {len(values)} values of '{name}' for {len(photographs)} images"
            )
    yield photographs, outputs


def _table(
    photographs: Sequence[Photograph], outputs: Outputs, facts: Facts, columns: dict[str, str]
) -> pa.Table:
    count = len(photographs)
    probabilities = outputs[predicted.PROBABILITIES]
    found: dict[str, Any] = {
        predicted.IMAGE: [each.image for each in photographs],
        predicted.IMAGE_ID: [each.image_id for each in photographs],
        predicted.LABEL: _texts(outputs[predicted.LABEL]),
        predicted.LABEL_INDEX: pa.array(outputs[predicted.LABEL_INDEX], pa.int64()),
        predicted.PROBABILITY: pa.array(outputs[predicted.PROBABILITY], pa.float32()),
        predicted.PROBABILITIES: _lists(probabilities),
    }
    if predicted.LABELS in outputs:
        texts = _texts(outputs[predicted.LABELS])
        lists = [split_labels(text, facts.labels) for text in texts]
        found[predicted.LABELS] = pa.array(lists, pa.list_(pa.string()))
    if predicted.EMBEDDING in outputs:
        found[predicted.EMBEDDING] = _lists(outputs[predicted.EMBEDDING])
    found[predicted.MODEL_VERSION] = pa.array([facts.version] * count, pa.int64())
    found[predicted.MODEL_DIGEST] = [facts.digest or None] * count
    convert((each.columns for each in photographs), columns)
    for name, kind in columns.items():
        values = [each.columns.get(name) for each in photographs]
        found[predicted.passed_name(name)] = pa.array(values, _TYPES[kind])
    return pa.table(found)


def _texts(values: Any) -> list[str]:
    return [each.decode("utf-8") if isinstance(each, bytes) else str(each) for each in values]


def _lists(values: Any) -> pa.Array:
    """Rows of equal length, [N, D], as lists of float32."""
    flat = pa.array(np.ascontiguousarray(values, np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])

"""The photographs of a shard: read, checked as ingest checks them, and gathered into batches."""

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from components.predict.rows import Row
from components.predict.settings import PredictSettings
from components.predict.work import Shard, Work
from darkroom.artifacts.examples import IMAGE_BYTES, IMAGE_ID, IMAGE_PATH
from darkroom.artifacts.rejected import Reason, RejectedError, Rejection
from darkroom.errors import StepError
from darkroom.images.photograph import Limits, check_photograph
from darkroom.records.example_proto import parsed_example
from darkroom.records.tfrecord import read_records
from darkroom.sources.columns import ColumnValue
from darkroom.sources.storage import read_file
from darkroom.storage.atomic import os_reason


class Photograph(NamedTuple):
    """A photograph to ask a model about.

    Attributes:
        image: The photograph as the input names it.
        image_id: SHA-256 of its file, in hexadecimal.
        data: Its file's bytes.
        converted: The bytes in a format that any model reads; `data` where it is in one.
        columns: The columns that are passed through.
    """

    image: str
    image_id: str
    data: bytes
    converted: bytes
    columns: dict[str, Any]

    def rejected(self, reason: Reason, detail: str) -> Rejection:
        """The rejection of its row."""
        return Rejection({"image": self.image, **self.columns}, reason, detail)


Batch = list[Photograph | Rejection]


def read_photographs(
    shard: Shard, work: Work, settings: PredictSettings
) -> Iterator[Photograph | Rejection]:
    """Reads the photographs of a shard, in order.

    Raises:
        StepError: A file of records is damaged, or its store refuses.
    """
    if shard.records:
        try:
            for number, record in enumerate(read_records(shard.records)):
                yield _of_record(record, f"{shard.records}#{number}", work.columns)
        except OSError as error:
            raise StepError(f"cannot read {shard.records}: {os_reason(error)}") from error
        return
    limits = Limits(settings.max_pixels, settings.max_aspect)
    for row in work.rows_of(shard):
        yield _of_row(row, limits)


def _of_row(row: Row, limits: Limits) -> Photograph | Rejection:
    try:
        data = read_file(row.location)
        converted = check_photograph(data, limits)
    except RejectedError as error:
        return Rejection({"image": row.image, **row.columns}, error.reason, error.detail)
    return Photograph(row.image, hashlib.sha256(data).hexdigest(), data, converted, row.columns)


def _of_record(record: bytes, place: str, columns: Iterable[str]) -> Photograph | Rejection:
    """The photograph of an example; ingest has checked it."""
    try:
        features = parsed_example(record)
        (data,) = features[IMAGE_BYTES]
    except Exception:  # whatever protobuf raises for what is no example
        detail = f"no tf.train.Example with one {IMAGE_BYTES}"
        return Rejection({"image": place}, Reason.MALFORMED_ROW, detail)
    image = _text(features.get(IMAGE_PATH) or [place])
    identity = _text(features.get(IMAGE_ID) or [hashlib.sha256(data).hexdigest()])
    passed = {name: _value(features[name]) for name in columns if features.get(name)}
    return Photograph(image, identity, data, data, passed)


def _text(values: list[Any]) -> str:
    """A text feature, as one text."""
    every = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values]
    return " ".join(every)


def _value(values: list[Any]) -> ColumnValue:
    return values[0] if isinstance(values[0], int | float) else _text(values)


def batches(
    photographs: Iterable[Photograph | Rejection], settings: PredictSettings
) -> Iterator[Batch]:
    """Gathers photographs into batches of at most so many, and so many bytes."""
    batch: Batch = []
    count = size = 0
    for each in photographs:
        length = len(each.data) if isinstance(each, Photograph) else 0
        is_full = count == settings.batch_size or size + length > settings.batch_bytes
        if count and is_full:
            yield batch
            batch, count, size = [], 0, 0
        batch.append(each)
        if isinstance(each, Photograph):
            count, size = count + 1, size + length
    if batch:
        yield batch


T = TypeVar("T")


def read_ahead(items: Iterator[T]) -> Iterator[T]:
    """Has a thread make the next item while the one before is used."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item

"""The photographs of production whose labels have come: which, and the bytes of their files."""

import base64
import datetime
import hashlib
import json
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from darkroom.artifacts.batch_predictions import IMAGE, IMAGE_ID, read_batch_predictions
from darkroom.artifacts.samples import read_samples, sample_files
from darkroom.errors import DarkroomError
from darkroom.storage import files
from darkroom.storage.paths import is_uri

_log = logging.getLogger("darkroom.monitor")

_LABELLED = """
    WITH said AS (
        SELECT image_id, truths.label, truths.columns FROM answers
        JOIN truths ON truths."by" = 'image_id' AND truths.name = image_id
        UNION ALL
        SELECT image_id, truths.label, truths.columns FROM answers
        JOIN truths ON truths."by" = 'key' AND truths.name = key
    ), agreed AS (
        SELECT image_id, max(label) AS label, max(columns) AS columns FROM said
        GROUP BY image_id HAVING count(DISTINCT label) = 1 AND count(label) = count(*)
    )
    SELECT image_id, agreed.label, agreed.columns, min(time)
    FROM agreed JOIN answers USING (image_id) GROUP BY image_id
"""


class Kept(Protocol):
    """Where answered photographs are kept, as the monitor's settings say it."""

    @property
    def samples(self) -> str | None:
        """The server's `sample.folder`."""

    @property
    def model(self) -> str | None:
        """The model's name at the server."""

    @property
    def predictions(self) -> tuple[str, ...]:
        """Folders of batch predictions."""


class LabelledPhotograph(NamedTuple):
    """A photograph whose label is known.

    Attributes:
        label: Its label.
        columns: What else its labels' table says of it, to slice by.
        day: The day on which it was first answered, such as `2026-11-27`.
    """

    label: str
    columns: dict[str, Any]
    day: str


def labelled_photographs(connection: sqlite3.Connection) -> dict[str, LabelledPhotograph]:
    """The photographs that were answered and have one label, by `image_id`.

    Those whose labels contradict each other, with none the newest, are left out.
    """
    return {
        image_id: LabelledPhotograph(
            label,
            json.loads(columns),
            datetime.datetime.fromtimestamp(time, datetime.UTC).date().isoformat(),
        )
        for image_id, label, columns, time in connection.execute(_LABELLED)
    }


def kept_photographs(settings: Kept, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    """Finds photographs by their digests, one at a time.

    Args:
        settings: Where the server's samples and the batch predictions are.
        wanted: Their `image_id`; each that was found is taken out.

    Yields:
        A photograph's `image_id`, and the bytes of its file, whose digest it is.
    """
    for image_id, content in _candidates(settings, wanted):
        if image_id in wanted and hashlib.sha256(content).hexdigest() == image_id:
            wanted.remove(image_id)
            yield image_id, content


def _candidates(settings: Kept, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    if settings.samples is not None and settings.model is not None:
        for file in sample_files(settings.samples, settings.model):
            if not wanted:
                return
            for sample in read_samples(file):
                if sample is not None and sample.get("image_id") in wanted:
                    yield from _sampled(sample)
    for folder in settings.predictions:
        if wanted:
            yield from _predicted(Path(folder), wanted)


def _sampled(sample: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    try:
        yield sample["image_id"], base64.b64decode(sample["image"], validate=True)
    except (KeyError, TypeError, ValueError):
        return  # the server kept no photograph, or not all of it


def _predicted(folder: Path, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    batch = read_batch_predictions(folder)
    asked = batch.manifest.get("settings", {}).get("data") or ()
    beside = [f"{place.rpartition('/')[0]}/" for place in asked if "/" in place]
    for row in batch.read([IMAGE, IMAGE_ID]):
        if row.get(IMAGE_ID) not in wanted or IMAGE not in row:
            continue
        image = row[IMAGE]
        folders = [""] if is_uri(image) or image.startswith("/") else ["", *beside]
        for place in folders:
            try:
                content = files.read_bytes(place + image)
            except (OSError, DarkroomError):
                continue  # it is in another of the folders, or gone
            yield row[IMAGE_ID], content

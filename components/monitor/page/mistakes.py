"""The photographs to look at: the surest wrong answers of the latest windows."""

import base64
import logging
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from components.monitor.windows.history import Window
from components.monitor.windows.looked import look_at
from darkroom.artifacts.samples import read_samples, sample_files
from darkroom.errors import DarkroomError
from darkroom.thumbnails import thumbnail

_log = logging.getLogger("darkroom.monitor")

MOST = 12
_WINDOWS = 7
"""Windows that are looked at at most, the latest that have labels."""
_SIDE = 160
"""Longer side of a picture in pixels."""
_WRONG = """
    SELECT looked.time, looked.image_id, key, looked.label, given, confidence
    FROM looked JOIN answers USING (id) WHERE looked.label != given
    ORDER BY confidence DESC, looked.image_id LIMIT ?
"""
_MOST_READ = 100_000
"""Samples that are looked through for photographs, the newest first."""


class Mistake(NamedTuple):
    """A wrong answer.

    Attributes:
        version: The model's version.
        time: When it was given, in seconds since 1970.
        image_id: SHA-256 of the photograph's file.
        key: That of the request; None without one.
        label: What it shows.
        given: What the model says.
        confidence: The model's probability for that.
    """

    version: str
    time: float
    image_id: str
    key: str | None
    label: str
    given: str
    confidence: float


def read_mistakes(
    connection: sqlite3.Connection, windows: Mapping[str, Sequence[Window]]
) -> list[Mistake]:
    """The wrong answers of the highest probability, the highest first.

    Args:
        connection: The database.
        windows: By version.
    """
    latest = sorted(
        ((one.figures["last"], version, one.window) for version, of in windows.items() for one in of
         if one.figures["right"] < one.figures["labelled"]),
        reverse=True,
    )  # fmt: skip
    found: dict[str, Mistake] = {}
    for _, version, window in latest[:_WINDOWS]:
        if len(found) >= MOST:
            break
        look_at(connection, version, window)
        for row in connection.execute(_WRONG, (MOST,)):
            mistake = Mistake(version, *row)
            known = found.get(mistake.image_id)
            if known is None or known.confidence < mistake.confidence:
                found[mistake.image_id] = mistake
    connection.execute("DROP TABLE IF EXISTS temp.looked")
    ordered = sorted(found.values(), key=lambda one: (-one.confidence, one.image_id))
    return ordered[:MOST]


class Pictures:
    """Small pictures of photographs that a server has kept beside its answers, each made once.

    Args:
        folder: Path or URI of the server's `sample.folder`.
        model: The model's name at the server.
    """

    def __init__(self, folder: str, model: str) -> None:
        self._folder, self._model = folder, model
        self._made: dict[str, str | None] = {}

    def of(self, image_ids: Collection[str]) -> dict[str, str]:
        """Data URIs by image; those are left out that the samples do not have, or no longer.

        Args:
            image_ids: Of the photographs.
        """
        missing = set(image_ids) - self._made.keys()
        self._made = {name: self._made.get(name) for name in image_ids}
        if missing:
            self._look_for(missing)
        return {name: made for name, made in self._made.items() if made is not None}

    def _look_for(self, missing: set[str]) -> None:
        read = 0
        try:
            for file in sample_files(self._folder, self._model):
                for sample in read_samples(file):
                    read += 1
                    if not missing or read > _MOST_READ:
                        return
                    image_id = None if sample is None else sample.get("image_id")
                    if sample is not None and image_id in missing and sample.get("image"):
                        self._made[image_id] = _picture(sample["image"])
                        missing.remove(image_id)
        except DarkroomError as error:
            _log.warning("the page has no pictures: %s", error)


def _picture(image: object) -> str | None:
    if not isinstance(image, str):
        return None
    try:
        return thumbnail(base64.b64decode(image, validate=True), _SIDE)
    except ValueError:  # no base64
        return None

"""Where photographs lie, and their bytes: what a server kept, or the files that a batch names."""

import base64
import contextlib
import logging
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from components.monitor.settings import MonitorSettings
from darkroom.artifacts.batch_predictions import IMAGE, IMAGE_ID, read_batch_predictions
from darkroom.artifacts.samples import read_samples, sample_files, samples_folder
from darkroom.errors import DarkroomError
from darkroom.storage import files

_log = logging.getLogger("darkroom.monitor")


class Found(NamedTuple):
    """A photograph that was found.

    Attributes:
        where: Its path or URI, or the folder of the server's samples that it is in.
        encoded: The bytes that the server kept, as base64; None where `where` is its file.
    """

    where: str
    encoded: str | None = None

    def read(self) -> bytes | None:
        """The encoded image; None if it cannot be read."""
        with contextlib.suppress(DarkroomError, OSError, ValueError):
            if self.encoded is not None:
                return base64.b64decode(self.encoded, validate=True)
            return files.read_bytes(self.where)
        return None


def find_photographs(settings: MonitorSettings, image_ids: Collection[str]) -> dict[str, Found]:
    """Finds photographs by their digests; those that nobody kept are left out.

    Args:
        settings: What is watched.
        image_ids: Their digests.
    """
    found: dict[str, Found] = {}
    wanted = set(image_ids)
    for folder in settings.predictions:
        with _unread(folder):
            found |= dict(_in_batch(Path(folder), wanted - found.keys()))
    if settings.samples is not None and settings.model is not None:
        with _unread(settings.samples):
            for file in sample_files(settings.samples, settings.model):
                if not wanted - found.keys():
                    break
                where = samples_folder(settings.samples, settings.model)
                found |= dict(_in_samples(file, where, wanted - found.keys()))
    return found


def _in_batch(folder: Path, wanted: Collection[str]) -> Iterator[tuple[str, Found]]:
    if wanted:
        for row in read_batch_predictions(folder).read([IMAGE_ID, IMAGE]):
            if row.get(IMAGE_ID) in wanted and row.get(IMAGE):
                yield row[IMAGE_ID], Found(str(row[IMAGE]))


def _in_samples(file: str, where: str, wanted: Collection[str]) -> Iterator[tuple[str, Found]]:
    for sample in read_samples(file):
        if sample and sample.get("image_id") in wanted and isinstance(sample.get("image"), str):
            yield sample["image_id"], Found(where, sample["image"])


@contextlib.contextmanager
def _unread(place: str) -> Iterator[None]:
    """An alert without its photographs is still an alert."""
    try:
        yield
    except (DarkroomError, OSError) as error:
        _log.warning("no photographs of alerts from %s: %s", place, error)

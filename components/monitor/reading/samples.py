"""The answers that a model server has kept."""

import base64
import contextlib
import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Any

from components.monitor.reading.answer import (
    FILE_FORMAT,
    MEASURES,
    Answer,
    BadAnswerError,
    parsed_answer,
)
from darkroom.artifacts.batch_predictions import IMAGE_ID
from darkroom.artifacts.rejected import RejectedError
from darkroom.artifacts.samples import read_samples, sample_files
from darkroom.storage import files

_IMAGE = "image"
_BEGINNING = 4096
_CLOCK_BACK = 60.0
"""Seconds that a line may be older than the one before it: answers are written by many threads."""


def sampled_answers(
    folder: str,
    model: str,
    keep: Collection[str],
    problems: Counter[str],
    files_read: set[str] | None = None,
) -> Iterator[Answer]:
    """Reads the answers that a server has kept; photographs that it kept too are measured.

    All files but the newest stay as they are, under names that change.

    Args:
        folder: Path or URI of the server's `sample.folder`.
        model: The model's name at the server.
        keep: The columns to keep, to slice by.
        problems: Counts what is wrong, by reason.
        files_read: Digests of files that were read before, which are left out; those that are
            read now, and stay as they are, are added.

    Raises:
        SettingsError: There are no samples.
        StepError: They cannot be read.
    """
    before = frozenset(files_read or ())
    for place, file in enumerate(sample_files(folder, model)):
        digest = _digest(file) if place else None
        if digest in before:
            continue
        yield from _answers(file, model, keep, problems)
        if digest is not None and files_read is not None:
            files_read.add(digest)


def sampled_photographs(
    folder: str, model: str, take: Callable[[str, str], bool], files_read: Collection[str] = ()
) -> Iterator[tuple[str, str, bytes]]:
    """Reads photographs that a server has kept beside its answers.

    Args:
        folder: Path or URI of the server's `sample.folder`.
        model: The model's name at the server.
        take: Says of a version and a photograph whether it is asked for.
        files_read: Digests of files that are left out.

    Yields:
        The version, the photograph's `image_id` and its file.
    """
    for place, file in enumerate(sample_files(folder, model)):
        if place and _digest(file) in files_read:
            continue
        for sample in read_samples(file):
            image = (sample or {}).get(_IMAGE)
            if not isinstance(image, str) or sample is None:
                continue
            version, image_id = str(sample.get("version")), str(sample.get(IMAGE_ID))
            if take(version, image_id):
                with contextlib.suppress(ValueError):
                    yield version, image_id, base64.b64decode(image, validate=True)


def _digest(file: str) -> str | None:
    """What tells a file from others: its size, and its beginning with time and photograph."""
    try:
        with files.opened(file) as content:
            beginning = content.read(_BEGINNING)
        return hashlib.sha256(beginning).hexdigest() + f" {files.size(file)}"
    except OSError:
        return None  # it is gone, or reading it will say why not


def _answers(
    file: str, model: str, keep: Collection[str], problems: Counter[str]
) -> Iterator[Answer]:
    last = 0.0
    for sample in read_samples(file):
        if sample is None:
            problems["a line that was cut"] += 1
            continue
        if "labels" in sample:
            problems["several labels to a photograph"] += 1
            continue
        if sample.get("model", model) != model or sample.get("version") in (None, ""):
            problems["no version, or another model"] += 1
            continue
        row = sample
        if isinstance(sample.get(_IMAGE), str):
            row = sample | _measured(sample[_IMAGE], problems)
        try:
            answer = parsed_answer(row, str(sample["version"]), sample.get("time"), keep)
        except BadAnswerError as error:
            problems[str(error)] += 1
            continue
        if row is not sample:
            answer = answer._replace(pictured=True)
        if answer.time < last - _CLOCK_BACK:
            problems["a clock that went back (counted all the same)"] += 1
        last = answer.time
        yield answer


def _measured(image: str, problems: Counter[str]) -> dict[str, Any]:
    from darkroom.images.photograph import read_photograph

    try:
        photograph = read_photograph(base64.b64decode(image, validate=True))
    except (RejectedError, ValueError):  # of letters that are no base64
        problems["a photograph that cannot be read (its answer counts)"] += 1
        return {}
    names = (*MEASURES, FILE_FORMAT)
    return {name: getattr(photograph, name) for name in names}

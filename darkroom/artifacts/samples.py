"""Where a model server keeps a share of its answers: files of JSON Lines, in a folder a model."""

import json
import re
from collections.abc import Iterator
from typing import Any

from darkroom.errors import SettingsError, StepError
from darkroom.storage import files
from darkroom.storage.atomic import os_reason

FILE = "samples.jsonl"
"""The newest file; older ones are `samples.jsonl.1` and so on."""


def samples_folder(folder: str, model: str) -> str:
    """The folder of a model's samples.

    Args:
        folder: Path or URI of the server's `sample.folder`.
        model: The model's name at the server.
    """
    return f"{folder.rstrip('/')}/{model}"


def sample_files(folder: str, model: str) -> Iterator[str]:
    """The files of a model's samples, the newest first.

    Each is to be read before the next is asked for: so nothing is missed when the server begins
    another file meanwhile, and each takes the name of the next older one. What was read is then
    read again.

    Args:
        folder: Path or URI of the server's `sample.folder`.
        model: The model's name at the server.

    Raises:
        SettingsError: There are none.
    """
    place = samples_folder(folder, model)
    with files.clear_errors(f"cannot read the samples in {place}", SettingsError):
        found = files.list_files(f"{place}/{FILE}*")
    if not found:
        raise SettingsError(f"no {place}/{FILE}: is it the server's sample.folder?")
    oldest = max(_age(file.location) for file in found)
    yield from sorted((file.location.removeprefix("file://") for file in found), key=_age)
    while files.exists(older := f"{place}/{FILE}.{oldest + 1}"):
        yield older
        oldest += 1


def read_samples(file: str) -> Iterator[dict[str, Any] | None]:
    """Reads a file of samples, which the server may be writing.

    Args:
        file: Path or URI, as `sample_files` gives it; one that is gone by now has no samples.

    Yields:
        Each sample; None for a line that is none, such as one that was cut in the middle.

    Raises:
        StepError: It cannot be read.
    """
    try:
        with files.opened(file) as lines:
            yield from map(_parsed, lines)
    except FileNotFoundError:
        return  # it was the oldest, and the server has begun another
    except OSError as error:
        raise StepError(f"cannot read {file}: {os_reason(error)}") from None


def _age(location: str) -> int:
    number = re.search(r"\.(\d+)$", location)
    return int(number[1]) if number else 0


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        sample = json.loads(line)
    except (ValueError, RecursionError):  # the latter of brackets in brackets, a thousand deep
        return None
    return sample if isinstance(sample, dict) else None

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


def sample_files(folder: str, model: str) -> list[str]:
    """The files of a model's samples, the newest first.

    Read in this order nothing is missed: when the server begins another file meanwhile, each takes
    the name of the next older one, and what was read is read again.

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
    return sorted((file.location.removeprefix("file://") for file in found), key=_age)


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
    except ValueError:
        return None
    return sample if isinstance(sample, dict) else None

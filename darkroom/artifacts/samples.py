"""Where a model server keeps a share of its answers: files of JSON Lines, in a folder a model."""

import json
import re
from collections.abc import Iterator
from typing import Any

from darkroom.errors import SettingsError, StepError
from darkroom.storage import files

FILE = "samples.jsonl"
"""The newest file; older ones are `samples.jsonl.1` and so on."""


def samples_folder(folder: str, model: str) -> str:
    """The folder of a model's samples.

    Args:
        folder: Path or URI of the server's `sample.folder`.
        model: The model's name at the server.
    """
    return f"{folder.rstrip('/')}/{model}"


def read_samples(folder: str, model: str) -> Iterator[dict[str, Any] | None]:
    """Reads a model's samples while the server may write them.

    The newest file comes first: when the server begins another meanwhile, every file has the name
    of the next older one, and some samples are read twice, but none is missed.

    Args:
        folder: Path or URI of the server's `sample.folder`.
        model: The model's name at the server.

    Yields:
        Each sample; None for a line that is none, such as one that was cut in the middle.

    Raises:
        SettingsError: There are no samples.
        StepError: They cannot be read.
    """
    place = samples_folder(folder, model)
    with files.clear_errors(f"cannot read the samples in {place}", SettingsError):
        found = files.list_files(f"{place}/{FILE}*")
    if not found:
        raise SettingsError(f"no {place}/{FILE}: is it the server's sample.folder?")
    for file in sorted(found, key=lambda file: _age(file.location)):
        try:
            with files.opened(file.location.removeprefix("file://")) as lines:
                yield from map(_parsed, lines)
        except FileNotFoundError:
            continue  # it was the oldest, and the server has begun another
        except OSError as error:
            raise StepError(f"cannot read {file.location}: {error}") from None


def _age(location: str) -> int:
    number = re.search(r"\.(\d+)$", location)
    return int(number[1]) if number else 0


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        sample = json.loads(line)
    except ValueError:
        return None
    return sample if isinstance(sample, dict) else None

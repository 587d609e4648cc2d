"""The index beside the examples: what each record is, so that a later run reads what is new."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from components.ingest.settings import IngestSettings
from components.ingest.shards.chunk import Entry
from darkroom.artifacts.examples import read_examples

INDEX_FILE = "index.json"
RECORDS_VERSION = 3
"""Raised when the same photograph comes to give another record or other measures."""

_IRRELEVANT = frozenset({"beam_options", "max_rejected", "previous", "expectations"})
"""Settings that change no record; a change of any other makes all photographs new."""


@dataclasses.dataclass(frozen=True)
class Index:
    """What an examples artifact holds, and what it left out as copies.

    Attributes:
        folder: The examples it is of; None where there is nothing before.
        shards: Entries in record order by shard file name.
        copies: Entries of photographs that were decoded but not kept.
    """

    folder: Path | None
    shards: Mapping[str, Sequence[Entry]]
    copies: Sequence[Entry]


NOTHING = Index(None, {}, ())


def read_index(examples: Path, settings: IngestSettings) -> Index | None:
    """Reads the index of a previous run's examples.

    Args:
        examples: The previous examples artifact.
        settings: The settings of this run.

    Returns:
        The index, or None if the settings or the release that it was made with give other records.

    Raises:
        StepError: There are no such examples, or they are not complete.
    """
    made_with = read_examples(examples).manifest["settings"]
    if _relevant(made_with) != _relevant(settings.model_dump(mode="json")):
        return None
    document = orjson.loads((examples / INDEX_FILE).read_bytes())
    if document.get("version") != RECORDS_VERSION:
        return None
    return Index(
        folder=examples,
        shards={name: _entries(rows) for name, rows in document["shards"].items()},
        copies=_entries(document["copies"]),
    )


def write_index(
    folder: Path, shards: Mapping[str, Sequence[Entry]], copies: Sequence[Entry]
) -> None:
    """Writes the index into an examples artifact that is being written."""
    # Entries as lists: the names of their fields would be most of the file.
    document = {
        "version": RECORDS_VERSION,
        "shards": {name: list(map(tuple, entries)) for name, entries in shards.items()},
        "copies": list(map(tuple, copies)),
    }
    (folder / INDEX_FILE).write_bytes(orjson.dumps(document))


def _relevant(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in _IRRELEVANT}


def _entries(rows: Sequence[Sequence[Any]]) -> list[Entry]:
    return list(map(Entry._make, rows))

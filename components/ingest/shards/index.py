"""The index beside the examples: what each record is, so that a later run reads what is new.

A Parquet file a group of shards: the entries of its records, in record order split by split, and
of the photographs of its rows that were left out as copies.
"""

import dataclasses
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.ingest.settings import IngestSettings
from components.ingest.shards.entry import Entry, entries_of, entry_schema, read_table, write_table
from components.ingest.shards.group import numbered
from darkroom.artifacts.examples import read_examples
from darkroom.errors import StepError
from darkroom.storage.files import clear_errors, list_files
from darkroom.storage.paths import is_uri

if TYPE_CHECKING:
    import pyarrow as pa

RECORDS_VERSION = 5
"""Raised when the same photograph comes to give another record, other measures or columns."""

_IRRELEVANT = frozenset(
    {
        *("beam_options", "max_rejected", "previous", "expectations", "shard_bytes", "data_root"),
        "further_data",
    }
)
"""Settings that change no record; a change of any other makes all photographs new."""
_MADE_BY = b"darkroom"


@dataclasses.dataclass(frozen=True)
class IndexPart:
    """What is known of a group of shards of an earlier run.

    Attributes:
        entries: Its entries, with a column `kept`; their ordinals are of the earlier run.
        shards: Paths of the shards by split.
        digests: SHA-256 of each shard, by split.
    """

    entries: "pa.Table"
    shards: Mapping[str, str]
    digests: Mapping[str, str]


Index = Sequence[str]
"""Paths or URIs of the parts of an earlier run's index, in order."""
NOTHING: Index = ()


def find_index(examples: Path, settings: IngestSettings) -> Index | None:
    """Finds the index of a previous run's examples.

    Args:
        examples: The previous examples artifact.
        settings: The settings of this run.

    Returns:
        The index, or None if the settings or the release that it was made with give other records.

    Raises:
        StepError: There are no such examples, or they are not complete.
    """
    known = read_examples(examples)
    if _relevant(known.manifest["settings"]) != _relevant(settings.model_dump(mode="json")):
        return None
    parts = _parts(known.records)
    # One release wrote them all.
    if parts and read_facts(parts[0]).get("version") != RECORDS_VERSION:
        return None
    return parts or None


def _parts(records: str) -> list[str]:
    if is_uri(records):
        with clear_errors(f"cannot list {records}", StepError):
            return [file.location for file in list_files(f"{records}/index-*.parquet")]
    return sorted(map(str, Path(records).glob("index-*.parquet")))


def read_facts(path: str) -> dict[str, Any]:
    """Reads what a part of an index says of its shards: their names and digests by split."""
    return _facts(read_table(path, []).schema)


def read_marks(path: str) -> Iterator[tuple[bytes | None, bool]]:
    """Reads the fingerprints in a part of an index, each with whether its records are stored."""
    table = read_table(path, ["fingerprint", "kept"])
    yield from zip(*(column.to_pylist() for column in table.columns), strict=True)


def read_part(path: str) -> IndexPart:
    """Reads a part of an index."""
    table = read_table(path)
    facts = _facts(table.schema)
    return IndexPart(
        table,
        {split: f"{path.rpartition('/')[0]}/{name}" for split, name in facts["shards"].items()},
        facts["digests"],
    )


def entries_by_image(records: str, images: Collection[str]) -> dict[str, Entry]:
    """The entries of some photographs that are kept, by content digest.

    Args:
        records: Where the shards and their index are.
        images: Content digests.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array([bytes.fromhex(image) for image in images], pa.binary(32))
    found: dict[str, Entry] = {}
    for part in _parts(records) if images else ():
        is_wanted = pc.is_in(read_table(part, ["image_id"]).column(0), wanted)
        if pc.any(is_wanted).as_py():
            table = read_table(part).filter(is_wanted)
            kept = table.filter(table.column("kept"))
            found |= {entry.image_id: entry for entry in entries_of(kept)}
    return found


def write_part(
    folder: Path,
    number: int,
    total: int,
    kept: "pa.Table",
    copies: "pa.Table",
    shards: Mapping[str, str],
    digests: Mapping[str, str],
) -> None:
    """Writes a group's part into an examples artifact that is being written.

    Args:
        folder: The artifact.
        number: The group's place among the groups.
        total: Number of groups.
        kept: Entries of its records.
        copies: Entries of photographs that were left out.
        shards: File names of its shards by split.
        digests: Their SHA-256.
    """
    import pyarrow as pa

    facts = {"version": RECORDS_VERSION, "shards": dict(shards), "digests": dict(digests)}
    table = pa.concat_tables([kept, copies]).select(entry_schema().names)
    is_kept = [True] * kept.num_rows + [False] * copies.num_rows
    table = table.append_column("kept", pa.array(is_kept, pa.bool_()))
    table = table.replace_schema_metadata({_MADE_BY: json.dumps(facts)})
    write_table(table, folder / numbered("index", number, total, "parquet"))


def _facts(schema: "pa.Schema") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((schema.metadata or {}).get(_MADE_BY, b"{}"))
    return found


def _relevant(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in _IRRELEVANT}

"""Builds the examples: new photographs are read, known ones are kept, copies are rejected."""

import dataclasses
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.ingest.settings import IngestSettings
from components.ingest.shards.chunk import Chunk
from components.ingest.shards.entry import GONE, read_table
from components.ingest.shards.finish import finish_group
from components.ingest.shards.group import Group
from components.ingest.shards.groups import plan_groups
from components.ingest.shards.index import Index
from components.ingest.shards.summary import Summary
from components.ingest.shards.write import write_chunks
from components.ingest.sources.rows import Row
from darkroom.artifacts.rejected import Rejection

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_AT_ONCE = 4_000_000
"""Photographs whose hashes are held at once: some 150 bytes each."""

WriteChunks = Callable[[Sequence[Chunk], Path, IngestSettings], Iterator[Group]]
"""Writes chunks' shards into a folder, and yields the group of each, in order."""


@dataclasses.dataclass(frozen=True)
class BuiltExamples:
    """What became of all rows.

    Attributes:
        summary: What the examples come to.
        rejections: The refused rows, in the order of the input.
    """

    summary: Summary
    rejections: list[Rejection]


def build_examples(
    rows: Sequence[Row],
    previous: Index,
    settings: IngestSettings,
    folder: Path,
    write: WriteChunks = write_chunks,
) -> BuiltExamples:
    """Writes the shards and the index of an examples artifact.

    Args:
        rows: All rows of the input.
        previous: The index of an earlier run, or `NOTHING`.
        settings: The ingest step's settings.
        folder: The artifact being written.
        write: Writes the shards of what is new.

    Returns:
        What became of all rows.
    """
    work = folder / "groups"
    work.mkdir()
    plan = plan_groups(rows, previous, settings, work)
    groups = [*plan.known, *write(plan.chunks, work, settings), *plan.unstored]
    built = finish_groups(groups, settings, folder)
    shutil.rmtree(work)
    return built


def finish_groups(groups: Sequence[Group], settings: IngestSettings, folder: Path) -> BuiltExamples:
    """Finds the copies among groups' photographs, and brings the groups into the artifact."""
    from components.ingest.splits.duplicates import find_copies

    copies = find_copies(_GroupSightings(groups), settings)
    summary = Summary()
    rejections: list[tuple[int, Rejection]] = []
    for group in groups:
        finished = finish_group(group, copies, settings, str(folder))
        summary.merge(finished.summary)
        rejections += finished.rejections
    rejections.sort(key=lambda each: each[0])
    return BuiltExamples(summary, [rejection for _, rejection in rejections])


class _GroupSightings:
    """The photographs of groups, read from their files as they are asked for."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._groups = groups

    def facts(self) -> "pa.Table":
        """All photographs, in the order of their rows, without the hashes of their copies."""
        import pyarrow as pa

        from components.ingest.splits.duplicates import FACTS
        from components.ingest.splits.sightings import SIGHTING_FIELDS, ordinals

        fields = [field for field in SIGHTING_FIELDS if field.name in FACTS]
        nothing = pa.schema(fields).empty_table()
        tables = (_present(read_table(group.entries, FACTS)) for group in self._groups)
        table = pa.concat_tables(
            [nothing, *(table.select(nothing.column_names) for table in tables)]
        )
        is_in_order = bool((ordinals(table)[1:] > ordinals(table)[:-1]).all())
        return table if is_in_order else table.sort_by("ordinal")

    def in_splits(self, splits: Sequence[str]) -> Iterator["pa.Table"]:
        """Those of some splits, in tables of some `_MOST_AT_ONCE` rows; at least one table."""
        import pyarrow as pa

        from components.ingest.splits.duplicates import in_splits
        from components.ingest.splits.sightings import SIGHTING_COLUMNS, SIGHTING_FIELDS

        held = [pa.schema(SIGHTING_FIELDS).empty_table()]
        for group in self._groups:
            held.append(in_splits(_present(read_table(group.entries, SIGHTING_COLUMNS)), splits))
            if sum(table.num_rows for table in held) > _MOST_AT_ONCE:
                yield pa.concat_tables(held)
                held = [held[0]]
        yield pa.concat_tables(held)


def _present(entries: "pa.Table") -> "pa.Table":
    """Entries whose rows are there."""
    import pyarrow.compute as pc

    return entries.filter(pc.not_equal(entries.column("ordinal"), GONE))

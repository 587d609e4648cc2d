"""The photographs of groups, as far as copies are concerned, read when they are asked for."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.shards.entry import GONE, read_table
from components.ingest.shards.group import Group
from components.ingest.splits.compared import COMPARED
from components.ingest.splits.duplicates import FACTS, in_order, in_splits
from components.ingest.splits.sightings import SIGHTING_FIELDS


class GroupSightings:
    """All photographs of some groups."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._groups = groups

    def facts(self) -> pa.Table:
        """All photographs, in the order of their rows, without the hashes of their copies."""
        return in_order(self._read(self._groups, FACTS))

    def in_splits(self, splits: Sequence[str]) -> Iterator[pa.Table]:
        """Those of some splits, a table a group; at least one table."""
        yield self._read((), COMPARED)
        for group in self._groups:
            yield in_splits(self._read([group], COMPARED), splits)

    def _read(self, groups: Sequence[Group], columns: Sequence[str]) -> pa.Table:
        schema = pa.schema([field for field in SIGHTING_FIELDS if field.name in columns])
        tables = [present(read_table(group.entries, schema.names)) for group in groups]
        found = [table.select(schema.names) for table in tables]
        return pa.concat_tables([schema.empty_table(), *found])


def present(entries: pa.Table) -> pa.Table:
    """Entries whose rows are there."""
    return entries.filter(pc.not_equal(entries.column("ordinal"), GONE))

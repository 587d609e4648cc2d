"""The list of rows, made by a worker: groups to write or to keep, and what the source says."""

import dataclasses
import pickle
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from components.ingest.settings import IngestSettings
from components.ingest.shards.chunk import Chunk
from components.ingest.shards.group import Group
from components.ingest.shards.groups import plan_groups
from components.ingest.shards.index import Index
from components.ingest.sources.rows import Table
from components.ingest.sources.source import read_source
from darkroom.artifacts.rejected import write_rejections
from darkroom.beam.options import option_values
from darkroom.beam.remote import RemoteWorkers, check_reachable
from darkroom.errors import SettingsError
from darkroom.settings import nearest
from darkroom.storage.files import read_bytes, written_to

_SOURCE_FILE = "source.pickle"
SOURCE = "source"
_PARTS = 16
"""Some for each worker of a small cluster; each costs a scheduler some milliseconds a step."""


@dataclasses.dataclass(frozen=True)
class Source:
    """What a source says beside its rows.

    Attributes:
        rows: Number of rows, refused ones too.
        columns: Type by name of the extra columns.
        side_files: Files in the label folders that are no photographs by their names.
        reasons: Rows that were refused before their image was opened, by reason.
    """

    rows: int
    columns: dict[str, str]
    side_files: Sequence[str]
    reasons: Counter[str]


@dataclasses.dataclass(frozen=True)
class Listing:
    """Lists the rows of a source.

    Attributes:
        data: As the ingest step takes it.
        previous: The index of an earlier run.
        settings: The ingest step's settings.
        workers: The workers that open the photographs, where they are on other machines.
    """

    data: str
    previous: Index
    settings: IngestSettings
    workers: RemoteWorkers | None

    @property
    def parts(self) -> int:
        """In how many parts a runner keeps what is grouped, where that follows from its input."""
        asked = option_values(self.settings.beam_options).get("dask_npartitions", "")
        return int(asked) if asked.isdecimal() and int(asked) else _PARTS

    def groups(self, work: str) -> Iterator[Chunk | Group]:
        """The groups of an earlier run, and chunks of new rows.

        Args:
            work: Where the entries of known groups go, and what `read_listed` reads.
        """
        with written_to(work) as local:
            # Archives and digits are unpacked where other workers on this machine find them.
            table = read_source(self.data, local, self.settings)
            if self.workers is not None:
                check_reachable([row.location for row in table.rows], self.workers)
                check_reachable([row.mask for row in table.rows], self.workers)
            plan = plan_groups(table.rows, self.previous, self.settings, local)
            write_rejections(local / refused_file(SOURCE), table.rejections)
            (local / _SOURCE_FILE).write_bytes(pickle.dumps(source_of(table)))
        for group in (*plan.known, *plan.unstored):
            entries = f"{work}/{Path(group.entries).name}"
            yield dataclasses.replace(group, entries=entries)
        yield from plan.chunks


def refused_file(part: str) -> str:
    """File name of the refused rows of a part of the work."""
    return f"refused-{part}.jsonl"


def refused_in_order(files: Iterable[str]) -> list[str]:
    """Files of refused rows; what the source itself refuses comes first."""
    return sorted(files, key=lambda file: (not file.endswith(refused_file(SOURCE)), file))


def source_of(table: Table) -> Source:
    """What a source that was read says beside its rows."""
    count = len(table.rows) + len(table.rejections)
    reasons = Counter(rejection.reason for rejection in table.rejections)
    return Source(count, table.columns, table.side_files, reasons)


def read_listed(work: str) -> Source:
    """Reads what `Listing.groups` left."""
    source = pickle.loads(read_bytes(f"{work}/{_SOURCE_FILE}"))
    assert isinstance(source, Source)
    return source


def checked_source(data: str, folder: Path, settings: IngestSettings) -> Table:
    """Reads a source's rows, and checks that it has the columns that settings name.

    Args:
        data: As the ingest step takes it.
        folder: Where an archive is unpacked.
        settings: The ingest step's settings.

    Raises:
        SettingsError: It does not exist, or has no such column.
    """
    table = read_source(data, folder, settings)
    if settings.group_by is not None and settings.group_by not in table.columns:
        offer = nearest(settings.group_by, table.columns) if table.columns else ""
        raise SettingsError(f"ingest.group_by: no column '{settings.group_by}' in the data{offer}")
    if settings.mask_column is not None and not any(row.mask for row in table.rows):
        offer = nearest(settings.mask_column, table.columns) if table.columns else ""
        raise SettingsError(
            f"ingest.tiles.mask_column: no row has a '{settings.mask_column}'{offer}"
        )
    return table

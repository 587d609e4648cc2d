"""What the workers of a runner are to list, and what the source says beside its rows."""

import dataclasses
import json
import pickle
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from components.ingest.settings import IngestSettings
from components.ingest.shards.index import Index
from components.ingest.sources.rows import Table, ending
from darkroom.beam.options import option_values
from darkroom.beam.remote import RemoteWorkers
from darkroom.storage.files import read_bytes

SOURCE_FILE = "source.pickle"
_PARTS = 16
"""Some for each worker of a small cluster; each costs a scheduler some milliseconds a step."""
_OF_SOURCE = "source-"


@dataclasses.dataclass
class Source:
    """What a source says beside its rows.

    Attributes:
        rows: Number of rows, refused ones too.
        columns: Type by name of the extra columns.
        side_files: Files in the label folders that are no photographs, by their names' ending.
        reasons: Rows that were refused before their image was opened, by reason.
    """

    rows: int
    columns: dict[str, str]
    side_files: Counter[str]
    reasons: Counter[str]


@dataclasses.dataclass(frozen=True)
class Listing:
    """What workers list.

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


def refused_file(part: str) -> str:
    """File name of the refused rows of a part of the work."""
    return f"refused-{part}.jsonl"


def refused_source_file(part: str) -> str:
    """File name of rows that the source itself refuses."""
    return refused_file(f"{_OF_SOURCE}{part}")


def refused_in_order(files: Iterable[str]) -> list[str]:
    """Files of refused rows; what the source itself refuses comes first."""
    first = refused_source_file("").removesuffix(".jsonl")
    return sorted(files, key=lambda file: (not Path(file).name.startswith(first), file))


def side_file(part: str) -> str:
    """File name of the names of files that are no photographs."""
    return f"side-{part}.jsonl"


def write_side_files(path: Path, names: Iterable[str]) -> None:
    """Writes the names of files that are no photographs, as JSON, one a line; none for no file."""
    lines = "".join(f"{json.dumps(name, ensure_ascii=False)}\n" for name in names)
    if lines:
        path.write_text(lines, encoding="utf-8")


def source_of(table: Table) -> Source:
    """What a source that was read says beside its rows."""
    count = len(table.rows) + len(table.rejections)
    reasons = Counter(rejection.reason for rejection in table.rejections)
    return Source(count, table.columns, Counter(map(ending, table.side_files)), reasons)


def read_listed(work: str) -> Source:
    """Reads what the workers that listed a source left."""
    source = pickle.loads(read_bytes(f"{work}/{SOURCE_FILE}"))
    assert isinstance(source, Source)
    return source

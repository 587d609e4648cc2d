"""Builds the examples: new photographs are read, known ones are kept, copies are rejected."""

import contextlib
import dataclasses
import gc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from components.ingest.settings import IngestSettings
from components.ingest.shards.chunk import Chunk
from components.ingest.shards.finish import finish_group
from components.ingest.shards.group import Group
from components.ingest.shards.groups import plan_groups
from components.ingest.shards.index import Index
from components.ingest.shards.summary import Summary
from components.ingest.shards.write import write_chunks
from components.ingest.sources.rows import Row
from darkroom.artifacts.rejected import Rejection

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
    folder: str,
    work: Path,
    write: WriteChunks = write_chunks,
) -> BuiltExamples:
    """Writes the shards and the index of an examples artifact.

    Args:
        rows: All rows of the input.
        previous: The index of an earlier run, or `NOTHING`.
        settings: The ingest step's settings.
        folder: Path or URI of the folder of its records.
        work: An empty folder here, on the same disk as `folder` if that is here too.
        write: Writes the shards of what is new.

    Returns:
        What became of all rows.
    """
    plan = plan_groups(rows, previous, settings, work)
    groups = [*plan.known, *write(plan.chunks, work, settings)]
    groups.sort(key=lambda group: group.number)
    return finish_groups(groups, settings, folder)


def finish_groups(groups: Sequence[Group], settings: IngestSettings, folder: str) -> BuiltExamples:
    """Finds the copies among groups' photographs, and brings the groups into the artifact."""
    from components.ingest.shards.sightings import GroupSightings
    from components.ingest.splits.duplicates import find_copies

    summary = Summary()
    rejections: list[tuple[int, Rejection]] = []
    with _without_collector():
        copies = find_copies(GroupSightings(groups), settings)
        for group in groups:
            finished = finish_group(group, copies, settings, folder)
            summary.merge(finished.summary)
            rejections += finished.rejections
    rejections.sort(key=lambda each: each[0])
    return BuiltExamples(summary, [rejection for _, rejection in rejections])


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Keeps Python from looking for cycles: with every group it would go through all copies."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

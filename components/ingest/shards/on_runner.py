"""The examples built by the workers of a Beam runner, from the list of rows to the last shard.

Image bytes go from where a photograph is to its shard, on one worker. What is shuffled is what is
known of photographs: their digests to find equal ones, their hashes to find conflicts, and the
hashes of the validation and test splits, which those of train are compared with.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam

from components.ingest.settings import IngestSettings
from components.ingest.shards.chunk import Chunk, joined, write_chunk
from components.ingest.shards.copies_on_runner import FindCopies
from components.ingest.shards.finish import finish_group
from components.ingest.shards.group import Group, moved
from components.ingest.shards.listing import Listing, refused_file
from components.ingest.shards.rows_on_runner import ListRows
from components.ingest.shards.summary import Summary
from components.ingest.shards.work_files import read_object, write_object
from components.ingest.splits.duplicates import Duplicates
from darkroom.artifacts.code_digest import code_digest
from darkroom.artifacts.rejected import write_rejections
from darkroom.beam.same_code import check_same_code
from darkroom.storage.files import written_to

SUMMARY_FILE = "summary.pickle"


LastLook = Callable[[Summary, str, str, IngestSettings], Any]


def add_build(
    pipeline: beam.Pipeline,
    listing: Listing,
    settings: IngestSettings,
    folder: str,
    work: str,
    last_look: LastLook,
) -> None:
    """Adds to a pipeline all that makes the examples out of the rows.

    Args:
        pipeline: The pipeline.
        listing: Lists the rows, on a worker.
        settings: The ingest step's settings.
        folder: Where the shards and the index go, a path or a URI that workers reach.
        work: A folder for what is passed on in files, likewise; `SUMMARY_FILE` and the files of
            rejected rows are left in it.
        last_look: What the last worker calls, with the summary, both folders and the settings,
            while all is there; what it gives comes with the summary.
    """
    groups = (
        pipeline
        | "List rows" >> ListRows(listing, work)
        | "Spread chunks" >> beam.GroupByKey()
        | "Write shards" >> beam.FlatMap(_written, settings, work, code_digest(__name__))
    )
    copies = groups | "Find copies" >> FindCopies(settings, work)
    _ = (
        {"group": groups, "copies": copies}
        | "With their copies" >> beam.CoGroupByKey()
        | "Finish" >> beam.Map(_finished, settings, folder, work)
        | "To one place" >> beam.Map(_to_one_place)
        | "Gather" >> beam.GroupByKey()
        # The only leaf of the graph: a runner that computes but one computes all.
        | "Write the summary" >> beam.Map(_write_summary, last_look, folder, work, settings)
    )


def read_summary(work: str) -> tuple[Summary, Any]:
    """Reads what `add_build` left: the summary, and what the last look gave."""
    summary, found = read_object(SUMMARY_FILE, work)
    assert isinstance(summary, Summary)
    return summary, found


def _written(
    pair: tuple[int, Iterable[Chunk | Group]],
    settings: IngestSettings,
    work: str,
    code: str,
) -> Iterator[tuple[int, Group]]:
    """Writes what is new; a group of an earlier run is there already."""
    check_same_code(__name__, code)
    number, given = pair
    parts: list[Chunk] = []
    for one in given:
        if isinstance(one, Group):
            yield number, one
        else:
            parts.append(one)
    if parts:
        with written_to(work) as local:
            group = write_chunk(joined(parts), local, settings)
        yield number, moved(group, work)


def _finished(pair: tuple[int, Any], settings: IngestSettings, folder: str, work: str) -> Summary:
    (group,) = pair[1]["group"]
    copies = Duplicates({}, {})
    for part in pair[1]["copies"]:
        copies.dropped.update(part.dropped)
        copies.merged_labels.update(part.merged_labels)
    finished = finish_group(group, copies, settings, folder)
    with written_to(work) as local:
        refused = local / refused_file(f"{group.number:05d}")
        ordered = sorted(finished.rejections, key=lambda each: each[0])
        write_rejections(refused, [rejection for _, rejection in ordered])
    return finished.summary


def _to_one_place(summary: Summary) -> tuple[int, Summary]:
    return 0, summary


def _write_summary(
    pair: tuple[int, Iterable[Summary]],
    last_look: LastLook,
    folder: str,
    work: str,
    settings: IngestSettings,
) -> None:
    total = Summary()
    for summary in pair[1]:
        total.merge(summary)
    found = last_look(total, folder, work, settings)
    write_object(SUMMARY_FILE, (total, found), work)

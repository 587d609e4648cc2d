"""The rows of a source listed by the workers of a Beam runner, in blocks that stay in files."""

import dataclasses
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np

from components.ingest.shards.chunks import size_of
from components.ingest.shards.listing import (
    SOURCE_FILE,
    Listing,
    Source,
    refused_source_file,
    side_file,
    write_side_files,
)
from components.ingest.shards.work_files import (
    PARTITIONS,
    SETTLED,
    block_name,
    read_object,
    write_object,
)
from components.ingest.sources.blocks import Block, Facts, Place, Repeat, list_part
from components.ingest.sources.parts import Part, all_parts
from components.ingest.sources.repeats import find_repeats
from components.ingest.sources.settled import (
    check_source,
    settle,
    settled_rows,
    with_all_splits,
)
from components.ingest.sources.versions import Versions
from darkroom.artifacts.code_digest import code_digest
from darkroom.artifacts.rejected import write_rejections
from darkroom.beam.remote import check_reachable
from darkroom.beam.same_code import check_same_code
from darkroom.storage.files import written_to
from darkroom.storage.paths import is_uri


def spread_parts(begin: beam.pvalue.PBegin, listing: Listing, work: str) -> beam.PCollection:
    """The parts of the source and of an earlier run's index, spread over the workers."""
    # Dask makes as many parts of what is grouped as came in: one, of the list of parts.
    spread = begin | "Parts" >> beam.Create(range(listing.parts)) | beam.Map(_as_spread)
    return (
        (begin | beam.Create([work]) | "Find parts" >> beam.FlatMap(_parts, listing), spread)
        | "Parts and spread" >> beam.Flatten()
        | "Spread parts" >> beam.GroupByKey()
    )


def settled_blocks(parts: beam.PCollection, listing: Listing, work: str) -> beam.PCollection:
    """The places of blocks whose rows are written as all rows decide; see `block_rows`."""
    listed = parts | "List" >> beam.FlatMap(_listed, listing, work, code_digest(__name__))
    repeats = (
        listed
        | "Digests of rows" >> beam.FlatMap(_keys)
        | "Equal rows" >> beam.GroupByKey()
        | "Repeats" >> beam.FlatMap(_repeats)
    )
    return (
        {"listed": listed | "Blocks" >> beam.Map(_without_keys), "repeats": repeats}
        | "With their repeats" >> beam.CoGroupByKey()
        | "Drop repeats" >> beam.Map(_drop_repeats, work)
        | "All facts" >> beam.GroupByKey()
        | "Settle" >> beam.FlatMap(_settle, listing, work)
        | "Settled" >> beam.GroupByKey()
        | "Settle rows" >> beam.Map(_settle_rows, work)
    )


@dataclasses.dataclass(frozen=True)
class IndexPart:
    """A part of the earlier run's index."""

    number: int
    path: str


def _as_spread(number: int) -> tuple[str, None]:
    return f"spread {number}", None


def _parts(work: str, listing: Listing) -> Iterator[tuple[str, Part | IndexPart]]:
    with tempfile.TemporaryDirectory() as nowhere:
        # Archives and digits are unpacked where other workers on this machine find them.
        scratch = Path(nowhere if is_uri(work) else f"{work}/source")
        scratch.mkdir(parents=True, exist_ok=True)
        for part in all_parts(listing.data, listing.settings.further_data, scratch):
            yield f"part {part.number}", part
    for number, path in enumerate(listing.previous):
        yield f"index {number}", IndexPart(number, path)


def _listed(
    pair: tuple[str, Iterable[Part | IndexPart | None]], listing: Listing, work: str, code: str
) -> Iterator[tuple[Place, bytes]]:
    check_same_code(__name__, code)
    for part in pair[1]:
        if part is None or isinstance(part, IndexPart):
            continue
        versions = Versions()
        for block in list_part(part, listing.settings):
            if listing.workers is not None:
                check_reachable([row.location for row in block.rows], listing.workers)
                check_reachable([row.mask for row in block.rows], listing.workers)
            block.rows = versions.of(block.rows)
            write_object(f"listed-{block_name(block.place)}", block, work)
            yield block.place, block.keys().tobytes()


def _without_keys(pair: tuple[Place, bytes]) -> tuple[Place, None]:
    return pair[0], None


def _drop_repeats(pair: tuple[Place, Any], work: str) -> tuple[int, Facts]:
    place, joined = pair
    block: Block = read_object(f"listed-{block_name(place)}", work)
    block.drop(repeat for some in joined["repeats"] for repeat in some)
    write_object(f"unlike-{block_name(place)}", block, work)
    return 0, block.facts()


def _settle(
    pair: tuple[int, Iterable[Facts]], listing: Listing, work: str
) -> Iterator[tuple[Place, None]]:
    facts = list(pair[1])
    settled = with_all_splits(settle(facts, listing.settings), facts, listing.settings)
    check_source(listing.data, facts, settled, listing.settings)
    write_object(SETTLED, settled, work)
    source = Source(0, settled.columns, Counter(), Counter())
    for each in facts:
        source.rows += each.rows + each.refused.total()
        source.reasons.update(each.refused)
        source.side_files.update(each.side_files)
    write_object(SOURCE_FILE, source, work)
    for place in settled.places:
        yield place, None


def _keys(pair: tuple[Place, bytes]) -> Iterator[tuple[int, bytes]]:
    keys = np.frombuffer(pair[1], np.uint64).reshape(-1, 4)
    partitions = keys[:, 0] % PARTITIONS
    for partition in np.unique(partitions):
        yield int(partition), keys[partitions == partition].tobytes()


def _repeats(pair: tuple[int, Iterable[bytes]]) -> Iterator[tuple[Place, list[Repeat]]]:
    yield from find_repeats(np.frombuffer(b"".join(pair[1]), np.uint64).reshape(-1, 4)).items()


def _settle_rows(pair: tuple[Place, Any], work: str) -> tuple[Place, None]:
    """Writes a block's rows as all rows decide, each with the bytes that it counts as."""
    place, _ = pair
    block: Block = read_object(f"unlike-{block_name(place)}", work)
    rows = settled_rows(block, read_object(SETTLED, work))
    write_object(f"rows-{block_name(place)}", (rows, list(map(size_of, rows.rows))), work)
    with written_to(work) as local:
        if rows.rejections:
            write_rejections(local / refused_source_file(block_name(place)), rows.rejections)
        write_side_files(local / side_file(block_name(place)), block.side_files)
    return place, None

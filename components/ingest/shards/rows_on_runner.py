"""The rows listed by the workers of a Beam runner, and divided into groups: `plan_groups`.

Parts of the source are listed apart, in blocks of rows that stay in files. What is shuffled is
what is known of a block, a digest and a fingerprint a row, and the rows themselves once, to the
worker that reads their photographs.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import compress
from typing import Any

import apache_beam as beam

from components.ingest.shards.blocks_on_runner import IndexPart, settled_blocks, spread_parts
from components.ingest.shards.chunk import Chunk
from components.ingest.shards.chunks import Sizes
from components.ingest.shards.group import Group, moved
from components.ingest.shards.groups import KnownRow, Numbers, known_groups, known_row
from components.ingest.shards.index import read_facts
from components.ingest.shards.known import (
    KnownMark,
    Match,
    RowMark,
    find_matches,
    known_marks,
    row_marks,
)
from components.ingest.shards.listing import Listing
from components.ingest.shards.work_files import (
    PARTITIONS,
    SETTLED,
    block_rows,
    read_object,
    write_object,
)
from components.ingest.sources.blocks import Place
from components.ingest.sources.parts import Part
from components.ingest.sources.settled import (
    Settled,
)
from darkroom.storage.files import written_to

_NUMBERS = "numbers.pickle"


@dataclasses.dataclass(frozen=True)
class _Measured:
    """What the new rows of a block come to.

    Attributes:
        place: The block's.
        sizes: Sizes of the new ones.
        unstored: Parts of the earlier index with entries of rows that were left out as copies.
    """

    place: Place
    sizes: Sizes
    unstored: frozenset[int]


class ListRows(beam.PTransform):  # type: ignore[misc]
    """Gives chunks of new rows and groups of known ones, by their number.

    A chunk may come in several parts.
    """

    def __init__(self, listing: Listing, work: str) -> None:
        super().__init__()
        self._listing = listing
        self._work = work

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        """Takes the pipeline; gives pairs of a number and a `Chunk` or a `Group`."""
        listing, work = self._listing, self._work
        parts = spread_parts(begin, listing, work)
        blocks = settled_blocks(parts, listing, work)
        matches = self._matches(parts, blocks) if listing.previous else None
        numbers = (
            (
                _with_matches("Measured", blocks, matches) | "Measure" >> beam.Map(_measured, work),
                parts | "Stored" >> beam.FlatMap(_stored),
            )
            | "All of them" >> beam.Flatten()
            | "Measures" >> beam.GroupByKey()
            | "Number" >> beam.FlatMap(_number, listing, work)
        )
        planned = _with_matches("Planned", numbers | beam.Filter(_is_block), matches)
        chunks = planned | "Chunks" >> beam.FlatMap(_chunks, work)
        if matches is None:
            return chunks
        groups = (
            {
                "part": numbers | "Parts of the index" >> beam.FlatMap(_index_part),
                "rows": planned | "Known rows" >> beam.FlatMap(_known_rows, work),
            }
            | "Parts and rows" >> beam.CoGroupByKey()
            | "Known groups" >> beam.FlatMap(_known_groups, listing, work)
        )
        return (chunks, groups) | "Chunks and groups" >> beam.Flatten()

    def _matches(self, parts: beam.PCollection, blocks: beam.PCollection) -> beam.PCollection:
        known = parts | "Known fingerprints" >> beam.FlatMap(_known_marks)
        new = blocks | "Fingerprints" >> beam.FlatMap(_row_marks, self._work)
        return (
            (known, new)
            | "Fingerprints of both" >> beam.Flatten()
            | "Equal fingerprints" >> beam.GroupByKey()
            | "Matches" >> beam.FlatMap(_matches, self._work)
        )


def _with_matches(
    name: str, blocks: beam.PCollection, matches: beam.PCollection | None
) -> beam.PCollection:
    """Pairs of a block's place and what belongs to it: `block`, and `matches` of its rows."""
    if matches is None:
        return blocks | name >> beam.Map(_without_matches)
    return {"block": blocks, "matches": matches} | name >> beam.CoGroupByKey()


def _without_matches(pair: tuple[Place, Any]) -> tuple[Place, dict[str, list[Any]]]:
    return pair[0], {"block": [pair[1]], "matches": []}


def _known_marks(
    pair: tuple[str, Iterable[Part | IndexPart | None]],
) -> Iterator[tuple[int, Any]]:
    for part in pair[1]:
        if isinstance(part, IndexPart):
            yield from _partitioned(known_marks(part.path, part.number))


def _row_marks(pair: tuple[Place, None], work: str) -> Iterator[tuple[int, Any]]:
    rows, _ = block_rows(pair[0], work)
    yield from _partitioned(row_marks(rows.rows, rows.ordinals))


def _partitioned(marks: Iterable[RowMark | KnownMark]) -> Iterator[tuple[int, Any]]:
    partitions: dict[int, list[Any]] = defaultdict(list)
    for mark in marks:
        partitions[mark.mark[0] % PARTITIONS].append(mark)
    yield from partitions.items()


def _matches(pair: tuple[int, Iterable[Any]], work: str) -> Iterator[tuple[Place, list[Match]]]:
    marks = [mark for some in pair[1] for mark in some]
    rows = [mark for mark in marks if isinstance(mark, RowMark)]
    known = [mark for mark in marks if isinstance(mark, KnownMark)]
    settled: Settled = read_object(SETTLED, work)
    found: dict[Place, list[Match]] = defaultdict(list)
    for match in find_matches(rows, known):
        found[settled.place(match.ordinal)].append(match)
    yield from found.items()


def _measured(pair: tuple[Place, Any], work: str) -> tuple[int, _Measured]:
    place, joined = pair
    rows, known_sizes = block_rows(place, work)
    matches = _by_ordinal(joined["matches"])
    sizes = Sizes()
    pairs = zip(known_sizes, rows.ordinals, strict=True)
    sizes.add(size for size, ordinal in pairs if ordinal not in matches)
    unstored = frozenset(match.part for match in matches.values() if not match.is_stored)
    return 0, _Measured(place, sizes, unstored)


def _by_ordinal(matches: Iterable[list[Match]]) -> dict[int, Match]:
    return {match.ordinal: match for some in matches for match in some}


def _stored(
    pair: tuple[str, Iterable[Part | IndexPart | None]],
) -> Iterator[tuple[int, tuple[int, bool]]]:
    """Which parts of the earlier index there are, and whether they have shards."""
    for part in pair[1]:
        if isinstance(part, IndexPart):
            yield 0, (part.number, bool(read_facts(part.path)["shards"]))


def _number(
    pair: tuple[int, Iterable[_Measured | tuple[int, bool]]], listing: Listing, work: str
) -> Iterator[tuple[Place, None]]:
    """Numbers the groups, and tells every block and every part of the index that it is done."""
    given = list(pair[1])
    measures = [each for each in given if isinstance(each, _Measured)]
    measures.sort(key=lambda each: each.place)
    index = dict(each for each in given if not isinstance(each, _Measured))
    sizes = Sizes()
    for each in measures:
        sizes.merge(each.sizes)
    stored = [part for part, has_shards in index.items() if has_shards]
    unstored: frozenset[int] = frozenset().union(*(each.unstored for each in measures))
    numbers = Numbers.of(sizes, stored, unstored, listing.settings)
    before, befores = 0, {}
    for each in measures:
        befores[each.place] = before
        before += each.sizes.within(numbers.cut.file)
    write_object(_NUMBERS, (numbers, befores), work)
    for each in measures:
        yield each.place, None
    for part in index:
        yield (_OF_INDEX, part), None


_OF_INDEX = -1
"""In the place of a block's part: what follows is a part of the earlier index."""


def _is_block(pair: tuple[Place, None]) -> bool:
    return pair[0][0] != _OF_INDEX


def _index_part(pair: tuple[Place, None]) -> Iterator[tuple[int, None]]:
    if not _is_block(pair):
        yield pair[0][1], None


def _chunks(pair: tuple[Place, Any], work: str) -> Iterator[tuple[int, Chunk]]:
    place, joined = pair
    rows, sizes = block_rows(place, work)
    numbers, befores = read_object(_NUMBERS, work)
    matches = _by_ordinal(joined["matches"])
    is_new = [ordinal not in matches for ordinal in rows.ordinals]
    parts = (list(compress(some, is_new)) for some in (rows.rows, rows.ordinals, sizes))
    for chunk in numbers.chunks_of(*parts, befores[place]):
        yield chunk.number, chunk
    if not numbers.total and place == min(befores):
        # Where no row is left to read, an empty chunk still brings the graph to its end.
        yield 0, Chunk(0, 1, [], [])


def _known_rows(pair: tuple[Place, Any], work: str) -> Iterator[tuple[int, list[KnownRow]]]:
    place, joined = pair
    matches = _by_ordinal(joined["matches"])
    rows, _ = block_rows(place, work)
    found: dict[int, list[KnownRow]] = defaultdict(list)
    for row, ordinal in zip(rows.rows, rows.ordinals, strict=True):
        if match := matches.get(ordinal):
            found[match.part].append(known_row(match, row))
    yield from found.items()


def _known_groups(
    pair: tuple[int, Any], listing: Listing, work: str
) -> Iterator[tuple[int, Group]]:
    part, joined = pair
    numbers, _ = read_object(_NUMBERS, work)
    rows = [row for some in joined["rows"] for row in some]
    with written_to(work) as local:
        groups = known_groups(listing.previous[part], part, rows, numbers, local)
    for group in groups:
        entries = moved(group, work).entries
        yield group.number, dataclasses.replace(group, entries=entries)

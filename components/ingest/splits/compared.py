"""Photographs as they are compared with others: a column for each of their hashes."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.splits.sightings import (
    Hashes,
    Places,
    is_any_of,
    ordinals,
    perceptual_hashes,
)

COMPARED = (
    *("ordinal", "image_id", "perceptual_hash", "copy_hashes", "split"),
    *("pseudo_labelled", "group_key"),
)
"""Columns that tell near copies."""
HASHES = ("ordinal", "perceptual_hash", "copy_hashes")
"""Those that they are found by."""


class Compared:
    """Photographs, their hashes side by side in memory: some 160 bytes each.

    Attributes:
        facts: All columns of them but those of hashes.
        whole: The hash of each photograph, and of it mirrored, uint64 [N] each.
        parts: Of it without a border, of the same mirrored, and of the crops.
        plain: Of it, and of it without a border.
    """

    WITHOUT_CROPS = 3
    """How many hashes of a photograph are not those of crops."""

    def __init__(self, facts: pa.Table, hashes: Sequence[Hashes]) -> None:
        """Takes columns as they are; `of_tables` reads them.

        Args:
            facts: All columns of the photographs but those of hashes.
            hashes: The hash of each photograph, and then those of what copies of it may be.
        """
        self.facts = facts
        self._hashes = list(hashes)
        given, *others = hashes
        self.whole, self.parts, self.plain = [given], [], [given]
        if others:
            inner, mirrored, *crops = others
            self.whole, self.parts, self.plain = [given, mirrored], [inner, *crops], [given, inner]

    @classmethod
    def of_tables(cls, tables: Iterable[pa.Table], most: int | None = None) -> "Compared":
        """Photographs of several tables, in order.

        Args:
            tables: At least one table, of columns of `COMPARED`. Each is let go of once it is
                read, so that not all is held twice.
            most: How many hashes of each are held; unset, all.
        """
        columns: list[_Column] = []
        facts = []
        for table in tables:
            facts.append(table.drop_columns(list(HASHES[1:])))
            if table.num_rows:
                found = [perceptual_hashes(table), *_hashes_of_copies(table)][:most]
                columns = columns or [_Column() for _ in found]
                # What some photographs have none of is compared of none.
                columns = columns[: len(found)]
                for column, values in zip(columns, found, strict=False):
                    column.extend(values)
        known = [column.values() for column in columns]
        return cls(pa.concat_tables(facts), known or [np.empty(0, np.uint64)])

    def __len__(self) -> int:
        return len(self._hashes[0])

    def filtered(self, kept: np.typing.NDArray[np.bool_]) -> "Compared":
        """Some of the photographs.

        Args:
            kept: Which, bool [N].
        """
        facts = self.facts.filter(pa.array(kept)).combine_chunks()
        return Compared(facts, [column[kept] for column in self._hashes])

    def in_splits(self, splits: Sequence[str]) -> "Compared":
        """The photographs of some splits."""
        found = pc.is_in(self.facts.column("split"), pa.array(splits))
        return self.filtered(found.to_numpy())

    def without(self, gone: Places) -> "Compared":
        """The photographs whose rows are none of these, which are sorted."""
        return self.filtered(~is_any_of(ordinals(self.facts), gone))

    def in_order(self) -> "Compared":
        """The photographs in the order of their rows, in which most come."""
        found = ordinals(self.facts)
        if (found[1:] > found[:-1]).all():
            return self
        order = np.argsort(found)
        return Compared(self.facts.take(pa.array(order)), [each[order] for each in self._hashes])


class _Column:
    """Hashes to which more are added; memory that is not yet used is not yet taken."""

    def __init__(self) -> None:
        self._values: Hashes = np.empty(1024, np.uint64)
        self._count = 0

    def extend(self, values: Hashes) -> None:
        """Adds some at the end."""
        count = self._count + len(values)
        if count > len(self._values):
            self._values.resize(max(count, 2 * len(self._values)), refcheck=False)
        self._values[self._count : count] = values
        self._count = count

    def values(self) -> Hashes:
        """All of them."""
        self._values.resize(self._count, refcheck=False)
        return self._values


def _hashes_of_copies(table: pa.Table) -> Hashes:
    """`copy_hashes` of each photograph, [13, N]; [0, N] where any of them has none."""
    column = table.column("copy_hashes")
    lengths = pc.min_max(pc.binary_length(column)).as_py()
    width = lengths["min"] // 8 if lengths["min"] == lengths["max"] else 0
    parts = [np.zeros((0, width), np.uint64)]
    for chunk in column.chunks:
        if width and len(chunk):
            _, offsets, data = chunk.buffers()
            (first,) = np.frombuffer(offsets, np.int32, 1, chunk.offset * 4)
            found = np.frombuffer(data, np.uint64, len(chunk) * width, int(first))
            parts.append(found.reshape(-1, width))
    return np.concatenate(parts).T

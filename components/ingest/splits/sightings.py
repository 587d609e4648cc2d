"""Photographs that could be decoded, as far as copies are concerned: a table, a row each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

SIGHTING_FIELDS = (
    pa.field("ordinal", pa.int64()),  # place of its row among all rows
    pa.field("image_id", pa.binary(32)),  # content digest
    pa.field("perceptual_hash", pa.uint64()),
    pa.field("copy_hashes", pa.binary()),  # `copy_hashes`, one after the other; may be empty
    pa.field("label", pa.string()),
    pa.field("labels", pa.list_(pa.string())),  # where photographs have several
    pa.field("split", pa.string()),  # where its split key puts it
    pa.field("tile_values", pa.string()),  # what a label mask says of its tiles
    pa.field("pseudo_labelled", pa.bool_()),  # whether a model gave the label
    pa.field("group_key", pa.uint64()),  # equal for all of a group, where there are groups
)
SIGHTING_COLUMNS = tuple(field.name for field in SIGHTING_FIELDS)


def image_ids(sightings: pa.Table, places: Sequence[int] | Places) -> list[str]:
    """The content digests of photographs, in hexadecimal.

    Args:
        sightings: The photographs.
        places: Which ones.
    """
    taken = sightings.column("image_id").take(pa.array(places, pa.int64()))
    return [digest.hex() for digest in taken.to_pylist()]


def ordinals(sightings: pa.Table) -> Places:
    """The places of their rows among all rows."""
    return np.asarray(sightings.column("ordinal").to_numpy())


def is_any_of(values: npt.NDArray[Any], known: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which values are among known ones, which are sorted, bool [N]."""
    places = np.searchsorted(known, values)
    places[places == len(known)] = 0
    return known[places] == values if len(known) else np.zeros(len(values), bool)


def digest_heads(sightings: pa.Table) -> Hashes:
    """The first 8 bytes of each content digest, by which equal ones are brought together."""
    parts = [
        np.frombuffer(chunk.buffers()[1], np.uint64, len(chunk) * 4, chunk.offset * 32)[::4]
        for chunk in sightings.column("image_id").chunks
        if len(chunk)
    ]
    return np.concatenate([np.zeros(0, np.uint64), *parts])


def perceptual_hashes(sightings: pa.Table) -> Hashes:
    """The hash of each photograph itself, its first byte the lowest."""
    # As the bytes of `copy_hashes` are read, of which there are 13 times as many to turn round.
    return np.asarray(sightings.column("perceptual_hash").to_numpy(), np.uint64).byteswap()


def repeated(keys: Hashes) -> Places:
    """The places of keys that occur more than once, equal ones next to each other in order."""
    order = np.argsort(keys, kind="stable")
    same = keys[order][1:] == keys[order][:-1]
    member = np.zeros(len(keys), bool)
    member[1:] |= same
    member[:-1] |= same
    return np.asarray(order[member])

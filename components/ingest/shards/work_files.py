"""What workers of a runner pass on in files of the work's folder."""

import pickle
from typing import Any

from components.ingest.sources.blocks import Place
from components.ingest.sources.settled import Rows
from darkroom.storage.files import read_bytes, written_to

SETTLED = "settled.pickle"
"""The file of what all rows decide, a `Settled`."""
PARTITIONS = 64
"""Parts in which equal digests, or equal fingerprints, are brought together."""


def block_rows(place: Place, work: str) -> tuple[Rows, list[int]]:
    """A block's rows, and the bytes that each counts as: measured once, since files may grow."""
    rows: tuple[Rows, list[int]] = read_object(f"rows-{block_name(place)}", work)
    return rows


def block_name(place: Place) -> str:
    """What the names of a block's files have in common."""
    return f"{place[0]:05d}-{place[1]:05d}"


def write_object(name: str, content: object, work: str) -> None:
    """Writes an object as a file of that name."""
    with written_to(work) as local:
        (local / name).write_bytes(pickle.dumps(content, pickle.HIGHEST_PROTOCOL))


def read_object(name: str, work: str) -> Any:
    """Reads what `write_object` wrote."""
    return pickle.loads(read_bytes(f"{work}/{name}"))

"""The answers to an image's tiles, put together to one row an image."""

import itertools
from typing import Any

import pyarrow as pa

from darkroom.artifacts.batch_predictions import IMAGE, PROBABILITIES
from darkroom.artifacts.examples import HEIGHT, WIDTH
from darkroom.artifacts.tiles import SOURCE_IMAGE_ID, TILE_LEFT, TILE_TOP, Box, assembled

_BOX = (TILE_TOP, TILE_LEFT, HEIGHT, WIDTH)


def tile_maps(table: pa.Table) -> pa.Table | None:
    """Puts the answers to tiles together; where tiles overlap, their mean counts.

    Args:
        table: Predictions in the order that ingest wrote the tiles in: those of an image stand one
            after the other.

    Returns:
        A row an image: `source_image_id`, `image`, `row_edges` and `column_edges` (the pixels at
        which the cells of the map begin, and the image's height and width), and `probabilities`,
        those of the cells row by row, one after the other. None where the table has no tiles.
    """
    if not {SOURCE_IMAGE_ID, *_BOX} <= set(table.column_names):
        return None
    rows = table.select([SOURCE_IMAGE_ID, IMAGE, *_BOX, PROBABILITIES]).to_pylist()
    maps: list[dict[str, Any]] = []
    for identity, tiles in itertools.groupby(rows, lambda row: row[SOURCE_IMAGE_ID]):
        if identity is None:
            continue
        each = list(tiles)
        boxes = [Box(*(row[name] for name in _BOX)) for row in each]
        found = assembled(boxes, [row[PROBABILITIES] for row in each])
        maps.append(
            {
                SOURCE_IMAGE_ID: identity,
                IMAGE: each[0][IMAGE],
                "row_edges": found.row_edges.tolist(),
                "column_edges": found.column_edges.tolist(),
                PROBABILITIES: found.probabilities.ravel().tolist(),
            }
        )
    return pa.Table.from_pylist(maps, schema=_SCHEMA)


_SCHEMA = pa.schema(
    [
        (SOURCE_IMAGE_ID, pa.string()),
        (IMAGE, pa.string()),
        ("row_edges", pa.list_(pa.int64())),
        ("column_edges", pa.list_(pa.int64())),
        (PROBABILITIES, pa.list_(pa.float32())),
    ]
)

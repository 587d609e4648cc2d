"""Tiles and masks that several tests ingest."""

from typing import Any

from darkroom.artifacts.tiles import Box

GRID = {"size": 16, "stride": 12}
LABELS = ["sound", "bruise", "rot"]
MASKED: dict[str, Any] = {
    "labels": LABELS,
    "near_duplicate_distance": -1,
    "max_rejected": 1,
    "tiles": {**GRID, "mask_column": "mask"},
}


def box_of(record: dict[str, Any]) -> Box:
    return Box(*(record[name][0] for name in ("tile_top", "tile_left", "height", "width")))


def by_image(records: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    images: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        images.setdefault(record["image_path"][0].decode(), []).append(record)
    return images

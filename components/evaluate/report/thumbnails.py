"""Small pictures of test photographs, found in one pass over the shards."""

from collections.abc import Iterable

from darkroom.artifacts.examples import IMAGE_BYTES, IMAGE_ID
from darkroom.records.example_proto import parsed_example
from darkroom.records.tfrecord import read_records
from darkroom.thumbnails import thumbnail

SIDE = 160
"""Longer side of a thumbnail, in pixels."""


def thumbnails_of(shards: Iterable[str], image_ids: set[str]) -> dict[str, str | None]:
    """Small pictures as data URIs, by the images' identities; None of one that has none.

    Args:
        shards: Paths or URIs of where the images are.
        image_ids: The identities.
    """
    thumbnails: dict[str, str | None] = {}
    if not image_ids:
        return thumbnails
    for shard in shards:
        for record in read_records(shard):
            example = parsed_example(record)
            image_id = example[IMAGE_ID][0].decode()
            if image_id in image_ids:
                thumbnails[image_id] = thumbnail(example[IMAGE_BYTES][0], SIDE)
    return thumbnails

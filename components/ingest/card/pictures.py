"""The data card's pictures: some photographs of every label, and copies beside what was kept."""

import dataclasses
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from components.ingest.card.samples import Samples
from components.ingest.shards.entry import Entry
from components.ingest.shards.index import entries_by_image
from darkroom.artifacts.examples import IMAGE_BYTES, IMAGE_PATH, LABEL, LABELS
from darkroom.artifacts.rejected import RejectedError, Rejection
from darkroom.artifacts.statistics import Statistics
from darkroom.records.example_proto import parsed_example
from darkroom.records.shards import list_shards
from darkroom.records.tfrecord import read_records
from darkroom.sources.storage import read_file
from darkroom.thumbnails import thumbnail

PICTURED_LABELS = 30
PICTURES_A_LABEL = 8
RECORDS_READ = 4000
"""Most records that are looked at for samples, so that a million photographs cost no more."""
FEWEST_A_SHARD = 16
SIDE = 112
"""Longer side of a picture, in pixels: the card's 300 stay within its 3 MB."""


@dataclasses.dataclass(frozen=True)
class Picture:
    """A photograph on the card.

    Attributes:
        image: The image as the input names it.
        label: Its label.
        thumbnail: A data URI; None where the image cannot be shown.
    """

    image: str
    label: str
    thumbnail: str | None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A photograph that was refused, beside the one it is a copy of.

    Attributes:
        reason: The reason code.
        detail: One line for people.
        refused: The copy.
        kept: What the examples hold; None where labels conflict, so that neither was kept.
    """

    reason: str
    detail: str
    refused: Picture
    kept: Picture | None


@dataclasses.dataclass(frozen=True)
class Pictures:
    """All pictures of the card.

    Attributes:
        by_label: Some training photographs of the labels of most photographs.
        comparisons: Refused copies beside what was kept in their place.
    """

    by_label: dict[str, list[Picture]]
    comparisons: list[Comparison]


def card_pictures(
    records: str, labels: Sequence[str], statistics: Statistics, samples: Samples
) -> Pictures:
    """Makes the pictures, of photographs that are read where this is called.

    Args:
        records: Path or URI of the folder of the shards and their index.
        labels: The labels there may be.
        statistics: Those of the photographs.
        samples: Some of the refused rows.
    """
    by_label = sample_pictures(records, pictured_labels(labels, statistics), PICTURES_A_LABEL)
    twins = entries_by_image(records, {copy.twin for copy in samples.copies if copy.twin})
    return Pictures(by_label, compared_copies(samples.copies, twins))


def pictured_labels(labels: Sequence[str], statistics: Statistics) -> list[str]:
    """The labels with pictures, those of most photographs, in the order of all."""
    counts = statistics.label_counts
    largest = set(sorted(labels, key=lambda label: -counts[label])[:PICTURED_LABELS])
    return [label for label in labels if label in largest]


def sample_pictures(records: str, labels: Collection[str], each: int) -> dict[str, list[Picture]]:
    """Some training photographs of every label.

    Args:
        records: Path or URI of the folder of the shards.
        labels: The labels to show.
        each: Most pictures a label.

    Returns:
        Pictures by label; fewer than `each` where the records looked at hold no more.
    """
    pictures: dict[str, list[Picture]] = {label: [] for label in labels}
    waiting = {label for label in labels if each > 0}
    for example in _spread_examples([shard.location for shard in list_shards(records, "train")]):
        if not waiting:
            break
        names = [name.decode() for name in example.get(LABELS) or example[LABEL]]
        for label in waiting.intersection(names):
            pictures[label].append(_picture(example, label))
            if len(pictures[label]) == each:
                waiting.remove(label)
    return pictures


def _spread_examples(shards: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
    """The first examples of shards from all over, since neighbours tend to hold the same label."""
    each = max(FEWEST_A_SHARD, RECORDS_READ // max(1, len(shards)))
    for shard in _spread(shards)[: RECORDS_READ // each + 1]:
        for _, record in zip(range(each), read_records(shard), strict=False):
            yield parsed_example(record)


def _spread(shards: Sequence[str]) -> list[str]:
    """The shards in an order whose every beginning is spread evenly (that of van der Corput)."""
    bits = len(shards).bit_length()
    places = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(1 << bits))
    return [shards[place] for place in places if place < len(shards)]


def _picture(example: Mapping[str, list[Any]], label: str) -> Picture:
    image = example[IMAGE_PATH][0].decode()
    return Picture(image, label, thumbnail(example[IMAGE_BYTES][0], SIDE))


def compared_copies(copies: Iterable[Rejection], kept: Mapping[str, Entry]) -> list[Comparison]:
    """Refused copies beside the photographs that were kept in their place.

    Args:
        copies: The copies.
        kept: What is known of those photographs, by content digest.
    """
    return [_comparison(copy, kept.get(copy.twin or "")) for copy in copies]


def _comparison(copy: Rejection, kept: Entry | None) -> Comparison:
    image, label = str(copy.row.get("image")), str(copy.row.get("label"))
    location = str(copy.row.get("location", image))
    data = _readable(location)
    refused = Picture(image, label, thumbnail(data, SIDE))
    if kept is None:
        return Comparison(copy.reason, copy.detail, refused, None)
    if hashlib.sha256(data).hexdigest() != kept.image_id:
        # Rows of one table name their images alike, so the place of one leads to the other.
        data = _readable(location.removesuffix(image) + kept.image)
    same = hashlib.sha256(data).hexdigest() == kept.image_id
    return Comparison(
        copy.reason,
        copy.detail,
        refused,
        Picture(kept.image, kept.label, thumbnail(data, SIDE) if same else None),
    )


def _readable(location: str) -> bytes:
    try:
        return read_file(location)
    except RejectedError:
        return b""

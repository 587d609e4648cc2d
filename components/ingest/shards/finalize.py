"""Shards brought to their place and name, without the records that go, with the labels due."""

import dataclasses
import itertools
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from components.ingest.settings import IngestSettings
from components.ingest.shards.chunk import Chunk, Entry, shard_name
from components.ingest.sources.rows import joined_labels
from components.ingest.splits.duplicates import Duplicates
from darkroom.artifacts.examples import LABEL, LABELS
from darkroom.records.example_proto import FeatureValue, parsed_example, serialized_example
from darkroom.records.tfrecord import read_records, write_record
from darkroom.storage.atomic import atomic_file


@dataclasses.dataclass
class Shard:
    """A shard file on its way into the artifact.

    Attributes:
        path: Where it lies now.
        entries: What its records are, in order.
        rows: The rows of its entries; None for a row that is gone.
    """

    path: Path
    entries: Sequence[Entry]
    rows: list[int | None]


Group = dict[str, Shard]
"""The shards of one chunk by split."""


def finalize_shards(
    groups: Sequence[Group], copies: Duplicates, settings: IngestSettings, folder: Path
) -> dict[str, list[Entry]]:
    """Brings every shard to its place and name; rewrites those in which something changes.

    Args:
        groups: The shards.
        copies: Rows whose records go, and rows whose records get other labels.
        settings: The ingest step's settings.
        folder: The artifact being written.

    Returns:
        Entries in record order by shard file name.
    """
    index: dict[str, list[Entry]] = {}
    for number, group in enumerate(groups):
        chunk = Chunk(number, len(groups), [])
        for split, shard in group.items():
            target = folder / shard_name(split, chunk)
            _place(shard.path, target)
            index[target.name] = _finalize(shard, target, copies, settings)
    return index


def _finalize(
    shard: Shard, target: Path, copies: Duplicates, settings: IngestSettings
) -> list[Entry]:
    gone: set[int] = set()
    relabelled: dict[int, Mapping[str, FeatureValue]] = {}
    kept: list[Entry] = []
    for place, (entry, row) in enumerate(zip(shard.entries, shard.rows, strict=True)):
        if row is None or row in copies.dropped:
            gone.add(place)
            continue
        if entry.merged_labels or row in copies.merged_labels:
            labels = copies.merged_labels.get(row, ())
            if labels != tuple(entry.merged_labels):
                shown = as_labelled(entry, labels, settings)
                relabelled[place] = {LABEL: shown.label, LABELS: shown.labels}
                entry = entry._replace(merged_labels=labels)
        kept.append(entry)
    if gone or relabelled:
        _rewrite(target, shard.entries, gone, relabelled)
    return kept


def as_labelled(entry: Entry, merged_labels: Sequence[str], settings: IngestSettings) -> Entry:
    """An entry with the labels that its example has.

    Args:
        entry: The entry, with the labels of its row.
        merged_labels: The labels of all its copies, if it has those.
        settings: How to join labels.
    """
    if not merged_labels:
        return entry._replace(merged_labels=()) if entry.merged_labels else entry
    label = joined_labels(merged_labels, settings.label_separator)
    return entry._replace(label=label, labels=merged_labels, merged_labels=merged_labels)


def _place(source: Path, target: Path) -> None:
    """Links a shard, so that what did not change costs no copying; copies where it cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _rewrite(
    shard: Path,
    entries: Sequence[Entry],
    gone: Collection[int],
    relabelled: Mapping[int, Mapping[str, FeatureValue]],
) -> None:
    """Rewrites a shard without the records of some entries, and with other labels in others."""
    records = read_records(shard)
    with atomic_file(shard) as temporary, temporary.open("wb") as file:
        for place, entry in enumerate(entries):
            for record in itertools.islice(records, entry.examples):
                if place in relabelled:
                    record = serialized_example({**parsed_example(record), **relabelled[place]})
                if place not in gone:
                    write_record(file, record)

"""A group's shards brought to their place and name, without records that go, with labels due."""

import dataclasses
import itertools
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from components.ingest.settings import IngestSettings
from components.ingest.shards.chunk import Chunk, open_shards, read_rejected, write_chunk
from components.ingest.shards.entry import GONE, read_table
from components.ingest.shards.group import Group, numbered
from components.ingest.shards.index import write_part
from components.ingest.shards.summary import Summary, summarize
from components.ingest.sources.rows import joined_labels
from components.ingest.splits.copy import Copy
from components.ingest.splits.duplicates import Duplicates
from darkroom.artifacts.examples import LABEL, LABELS, SPLITS
from darkroom.artifacts.rejected import Rejection
from darkroom.errors import StepError
from darkroom.records.example_proto import FeatureValue, parsed_example, serialized_example
from darkroom.records.tfrecord import read_records
from darkroom.storage import files as storage
from darkroom.storage.files import read_from, written_to
from darkroom.storage.paths import is_uri

if TYPE_CHECKING:
    import pyarrow as pa


@dataclasses.dataclass(frozen=True)
class Finished:
    """A group that is finished.

    Attributes:
        summary: What it comes to.
        rejections: Its refused rows, with their ordinals.
    """

    summary: Summary
    rejections: list[tuple[int, Rejection]]


def finish_group(
    group: Group, copies: Duplicates, settings: IngestSettings, folder: str
) -> Finished:
    """Brings a group's shards to their place, and writes its part of the index.

    A shard in which nothing changes is linked or copied; others are written again.

    Args:
        group: The group.
        copies: Ordinals of photographs that go, and of those that get other labels; those of
            other groups are passed over.
        settings: The ingest step's settings.
        folder: The artifact being written, a path or a URI.
    """
    table = read_table(group.entries)
    if not group.unstored:
        return _finish(group, table, table.slice(0, 0), copies, settings, folder)
    # What is no copy any more is read again; the others stay known as copies.
    ordinals = table.column("ordinal").to_pylist()
    rows = dict(zip(ordinals, group.unstored, strict=True))
    back = [ordinal for ordinal in ordinals if ordinal not in copies.dropped]
    if not back:
        return _finish(group, table.slice(0, 0), table, copies, settings, folder)
    chunk = Chunk(group.number, group.total, [rows[ordinal] for ordinal in back], back)
    with tempfile.TemporaryDirectory() as temporary:
        read = write_chunk(chunk, Path(temporary), settings)
        return _finish(read, read_table(read.entries), table, copies, settings, folder)


def _finish(
    group: Group,
    table: "pa.Table",
    unstored: "pa.Table",
    copies: Duplicates,
    settings: IngestSettings,
    folder: str,
) -> Finished:
    """Finishes a group of stored entries, beside which others are known as copies."""
    import pyarrow as pa

    ordinals = table.column("ordinal").to_pylist()
    is_dropped = [ordinal in copies.dropped for ordinal in ordinals]
    is_kept = [
        ordinal != GONE and not dropped
        for ordinal, dropped in zip(ordinals, is_dropped, strict=True)
    ]
    due = [
        copies.merged_labels.get(ordinal, ()) if kept else tuple(labels or ())
        for ordinal, kept, labels in zip(
            ordinals, is_kept, table.column("merged_labels").to_pylist(), strict=True
        )
    ]
    shards, digests = _finish_shards(group, table, is_kept, due, settings, folder)
    place = table.schema.get_field_index("merged_labels")
    field = table.schema.field(place)
    table = table.set_column(place, field, pa.array(due, field.type))
    rejections = read_rejected(group.rejected) if group.rejected else []
    kept = table.filter(pa.array(is_kept, pa.bool_()))
    left = pa.concat_tables(
        [
            table.filter(pa.array(is_dropped, pa.bool_())),
            unstored.filter(_dropped(unstored, copies)),
        ]
    )
    rejections += _refused_copies(left, copies)
    with written_to(folder) as local:
        write_part(local, group.number, group.total, kept, left, shards, digests)
    summary = summarize(kept, settings)
    summary.read = group.read
    summary.digests = {shards[split]: digest for split, digest in digests.items()}
    summary.reasons = Counter(rejection.reason for _, rejection in rejections)
    return Finished(summary, rejections)


def _dropped(table: "pa.Table", copies: Duplicates) -> "pa.Array":
    """Which entries are copies that go."""
    import pyarrow as pa

    ordinals = table.column("ordinal").to_pylist()
    return pa.array([ordinal in copies.dropped for ordinal in ordinals], pa.bool_())


def _finish_shards(
    group: Group,
    table: "pa.Table",
    is_kept: Sequence[bool],
    due: Sequence[tuple[str, ...]],
    settings: IngestSettings,
    folder: str,
) -> tuple[dict[str, str], dict[str, str]]:
    """File names and digests of the shards in the folder, by split."""
    now = [tuple(labels or ()) for labels in table.column("merged_labels").to_pylist()]
    splits = table.column("split").to_pylist()
    shards: dict[str, str] = {}
    digests = dict(group.digests)
    changed: set[str] = set()
    for split in SPLITS:
        places = [place for place, own in enumerate(splits) if own == split]
        if split in group.shards and any(is_kept[place] for place in places):
            shards[split] = numbered(split, group.number, group.total, "tfrecord")
            if any(not is_kept[place] or now[place] != due[place] for place in places):
                changed.add(split)
    for split, name in shards.items():
        if split not in changed:
            _place(group.shards[split], f"{folder}/{name}")
    if changed:
        with written_to(folder) as local:
            digests |= _rewrite(group, table, is_kept, due, changed, settings, local)
    return shards, {split: digests[split] for split in shards}


def _place(source: str, target: str) -> None:
    """Links a shard, so that what did not change costs no copying; copies where it cannot."""
    scheme, colon, _ = source.partition("://")
    if colon and target.startswith(f"{scheme}://"):
        with storage.clear_errors(f"cannot write {target}", StepError):
            storage.copy(source, target)
        return
    with read_from(source) as local:
        if is_uri(target):
            with storage.clear_errors(f"cannot write {target}", StepError):
                storage.put(local, target)
            return
        Path(target).unlink(missing_ok=True)  # of a worker that was killed
        try:
            os.link(local, target)
        except OSError:
            shutil.copyfile(local, target)


def _rewrite(
    group: Group,
    table: "pa.Table",
    is_kept: Sequence[bool],
    due: Sequence[tuple[str, ...]],
    changed: set[str],
    settings: IngestSettings,
    folder: Path,
) -> dict[str, str]:
    """Writes shards without the records of some entries, and with other labels in others."""
    columns = ("split", "examples", "label", "labels", "merged_labels")
    entries = table.select(columns).to_pylist()
    digests = {}
    with open_shards(folder, group.number, group.total) as shards:
        for split in sorted(changed):
            with read_from(group.shards[split]) as path:
                records = read_records(path)
                for place, entry in enumerate(entries):
                    if entry["split"] != split:
                        continue
                    for record in itertools.islice(records, entry["examples"]):
                        if is_kept[place]:
                            record = _relabelled(record, entry, due[place], settings)
                            shards[split].write(record)
        for split in changed:
            digests[split] = str(shards[split].close())
    return digests


def _relabelled(
    record: bytes, entry: Mapping[str, Any], due: tuple[str, ...], settings: IngestSettings
) -> bytes:
    """A record with the labels due; as it is where it has them already."""
    if tuple(entry["merged_labels"] or ()) == due:
        return record
    labels: Sequence[str] = due or entry["labels"]
    label = joined_labels(due, settings.label_separator) if due else entry["label"]
    changes: dict[str, FeatureValue] = {LABEL: label, LABELS: labels}
    return serialized_example({**parsed_example(record), **changes})


def _refused_copies(table: "pa.Table", copies: Duplicates) -> list[tuple[int, Rejection]]:
    rows = table.select(("ordinal", "row")).to_pylist()
    return [
        (row["ordinal"], _rejection(orjson.loads(row["row"]), copies.dropped[row["ordinal"]]))
        for row in rows
    ]


def _rejection(row: Mapping[str, Any], copy: Copy) -> Rejection:
    return Rejection(row, copy.reason, copy.detail, copy.twin)

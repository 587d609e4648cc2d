"""Made metadata, without pixels, through copies, splits, statistics and the index: how it grows."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.ingest import SCALE
from benchmarks.memory import MEBIBYTE
from benchmarks.processes import cost, table, verdict
from components.ingest.settings import IngestSettings
from components.ingest.shards.entry import entry_schema, write_table
from components.ingest.shards.group import Group, numbered
from components.ingest.splits.split import split_of

FEW, MANY = round(1_000_000 * SCALE), round(10_000_000 * SCALE)
LABELS = 100
ROWS_A_GROUP = 10_000
_COPIES, _NEAR_COPIES = 0.01, 0.01


def measure() -> str:
    """Runs both numbers of rows, each in a process of its own, under its memory."""
    with tempfile.TemporaryDirectory() as folder:
        costs = {}
        for count in (FEW, MANY):
            groups = f"{folder}/{count}"
            make_groups(Path(groups), count)
            out = f"{folder}/out {count}"
            command = [sys.executable, "-m", "benchmarks.scale", groups, out]
            costs[count] = cost(command, sample_memory=True)
    few, many = costs[FEW], costs[MANY]
    ratio = many.seconds / few.seconds
    peak = many.summed / MEBIBYTE
    rows = [
        [f"{FEW:,} rows", f"{few.seconds:.0f} s, {few.summed / MEBIBYTE:,.0f} MiB", ""],
        [f"{MANY:,} rows", f"{many.seconds:.0f} s, {peak:,.0f} MiB", verdict(peak, 3072, False)],
        ["time of the many / of the few", f"{ratio:.1f}", verdict(ratio, 12, False)],
    ]
    return table(["made metadata", "measured", "must be"], rows)


def make_groups(folder: Path, count: int, seed: int = 0) -> None:
    """Writes groups of made photographs; some are copies, some nearly others.

    Args:
        folder: Where the groups' files go.
        count: Number of photographs.
        seed: Of the random numbers.
    """
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    total = -(-count // ROWS_A_GROUP)
    earlier: pa.Table | None = None
    for number in range(total):
        rows = min(ROWS_A_GROUP, count - number * ROWS_A_GROUP)
        entries = _made(generator, number, rows, earlier)
        write_table(entries, folder / numbered("entries", number, total, "parquet"))
        earlier = entries


def _made(
    generator: np.random.Generator, number: int, rows: int, earlier: pa.Table | None
) -> pa.Table:
    first = number * ROWS_A_GROUP
    digests = generator.integers(0, 256, (rows, 32), np.uint8)
    hashes = generator.integers(0, 2**64, (rows, 14), np.uint64, endpoint=False)
    labels = generator.integers(0, LABELS, rows)
    if earlier is not None:
        copied = generator.random(rows) < _COPIES
        near = ~copied & (generator.random(rows) < _NEAR_COPIES)
        sources = generator.integers(0, earlier.num_rows, rows)
        known = np.frombuffer(b"".join(earlier.column("image_id").to_pylist()), np.uint8)
        known_hashes = earlier.column("perceptual_hash").to_numpy()
        known_labels = np.array([int(label[6:]) for label in earlier.column("label").to_pylist()])
        digests[copied] = known.reshape(-1, 32)[sources[copied]]
        same = copied | near
        labels[same] = known_labels[sources[same]]
        hashes[same, 0] = known_hashes[sources[same]]
        hashes[near, 0] ^= np.uint64(1) << generator.integers(0, 64, int(near.sum()), np.uint64)
    settings = IngestSettings()
    keys = [f"{value:016x}" for value in hashes[:, 0].tolist()]
    names = [f"{first + place:08}.jpg" for place in range(rows)]
    columns = {
        "ordinal": np.arange(first, first + rows),
        "image_id": [bytes(digest) for digest in digests],
        "perceptual_hash": hashes[:, 0],
        "copy_hashes": [row.tobytes() for row in hashes[:, 1:]],
        "label": [f"label {label:03}" for label in labels],
        "labels": [[]] * rows,
        "split": [split_of(key, settings.salt, settings.split) for key in keys],
        "tile_values": [""] * rows,
        "pseudo_labelled": [False] * rows,
        "group_key": [None] * rows,
        "image": names,
        "height": generator.integers(200, 4000, rows),
        "width": generator.integers(200, 4000, rows),
        "file_format": ["JPEG"] * rows,
        "converted": [False] * rows,
        "brightness": generator.uniform(0, 255, rows),
        "contrast": generator.uniform(0, 128, rows),
        "sharpness": generator.uniform(0, 5000, rows),
        "fingerprint": [bytes(digest) for digest in digests[:, ::-1]],
        "examples": [1] * rows,
        "merged_labels": [[]] * rows,
    }
    made = pa.table({name: columns[name] for name in entry_schema().names}, schema=entry_schema())
    row = [
        b'{"image": "%b", "location": "gs://bucket/%b"}' % ((name.encode(),) * 2) for name in names
    ]
    return made.append_column("row", pa.array(row, pa.binary()))


def build(groups: Path, out: Path) -> None:
    """Finds the copies of made photographs, and writes their index and statistics."""
    from components.ingest.shards.build_examples import finish_groups
    from darkroom.artifacts.statistics import write_statistics

    files = sorted(groups.glob("entries-*.parquet"))
    made = [Group(n, len(files), str(file), {}, {}) for n, file in enumerate(files)]
    out.mkdir(parents=True)
    built = finish_groups(made, IngestSettings(), str(out))
    write_statistics(out, built.summary.statistics, [])
    sys.stderr.write(f"{built.summary.photographs:,} kept, {len(built.rejections):,} copies\n")


if __name__ == "__main__":
    build(*map(Path, sys.argv[1:]))

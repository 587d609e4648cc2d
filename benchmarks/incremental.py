"""What a run costs that adds 1 % to a previous one, beside a full run over the same photographs."""

import hashlib
import os
import shutil
import statistics
import tempfile
from pathlib import Path

from benchmarks.ingest import SCALE, ingest_command
from benchmarks.photographs import photographs
from benchmarks.processes import cost, interleaved, seconds, spread, table, verdict
from components.ingest.settings import IngestSettings
from darkroom.artifacts.examples import SPLITS, read_examples
from darkroom.records.tfrecord import read_records

BEFORE = round(60_000 * SCALE)
ADDED = max(1, BEFORE // 100)


def measure() -> str:
    """Ingests a folder, lets it grow by 1 %, and ingests it again both ways."""
    if "previous" not in IngestSettings.model_fields:
        return "Left out: ingest has no setting `previous` yet."
    with tempfile.TemporaryDirectory(dir=photographs(BEFORE).parent) as scratch:
        folder = Path(scratch)
        data = folder / "photographs"
        shutil.copytree(photographs(BEFORE), data, copy_function=os.link)
        cost(ingest_command(data, f"{folder}/before"))
        _add(data)
        previous = str(folder / "before" / "examples")
        full = ingest_command(data, "{out}")
        added = ingest_command(data, "{out}", previous=previous)
        costs = interleaved({"full": full, "incremental": added})
        equal = _equal_records(folder, [full, added])
    every = {name: seconds(taken) for name, taken in costs.items()}
    ratios = [a / b for a, b in zip(every["incremental"], every["full"], strict=True)]
    must = verdict(statistics.median(ratios), 0.08, False)
    rows = [
        [f"full run over {BEFORE + ADDED:,}, seconds", spread(every["full"]), ""],
        [f"{ADDED:,} added to {BEFORE:,}, seconds", spread(every["incremental"]), ""],
        ["incremental / full", spread(ratios, 3), must],
        ["the same records in every split", "yes" if equal else "**no**", "yes"],
    ]
    return table(["incremental", "median (least to most)", "must be"], rows)


def _add(data: Path) -> None:
    """Adds the photographs that a set 1 % larger has more."""
    grown = photographs(BEFORE + ADDED)
    for path in grown.glob("*/*.jpg"):
        target = data / path.relative_to(grown)
        if not target.exists():
            os.link(path, target)


def _equal_records(folder: Path, commands: list[list[str]]) -> bool:
    sets = []
    for number, command in enumerate(commands):
        out = folder / f"compared-{number}"
        cost([word.replace("{out}", str(out)) for word in command])
        sets.append(_records(out / "examples"))
    return sets[0] == sets[1]


def _records(examples: Path) -> dict[str, list[bytes]]:
    artifact = read_examples(examples)
    return {
        split: sorted(
            hashlib.sha256(record).digest()
            for shard in artifact.shards(split)
            for record in read_records(shard)
        )
        for split in SPLITS
    }

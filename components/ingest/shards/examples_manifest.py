"""What the manifest of an examples artifact says."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.ingest.rejection import Rejection
from components.ingest.settings import IngestSettings
from components.ingest.shards.chunk import Entry
from darkroom.artifacts.examples import SPLITS, examples_digest
from darkroom.artifacts.tiles import TILE_COLUMNS


def examples_manifest(
    folder: Path,
    data: str,
    columns: Mapping[str, str],
    entries: Sequence[Entry],
    rejections: Sequence[Rejection],
    settings: IngestSettings,
) -> dict[str, Any]:
    """The content of the manifest.

    Args:
        folder: Where the examples stand, whole.
        data: Where the rows came from.
        columns: Type by name of the extra columns.
        entries: The examples.
        rejections: The refused rows.
        settings: The ingest step's settings.
    """
    counts: Counter[str] = Counter()
    for entry in entries:
        counts[entry.split] += entry.examples
    return {
        "labels": labels_of(entries, settings),
        "multi_label": any(entry.labels for entry in entries),
        "counts": {split: counts[split] for split in SPLITS},
        "columns": {**columns, **(TILE_COLUMNS if settings.tiles else {})},
        "rejected": dict(Counter(rejection.reason for rejection in rejections)),
        "data": data,
        "settings": settings.model_dump(mode="json"),
        "digest": examples_digest(folder),
    }


def labels_of(entries: Sequence[Entry], settings: IngestSettings) -> list[str]:
    """The one sorted label list, from which every later step takes a label's index."""
    if settings.labels is not None:
        return sorted(set(settings.labels))
    return sorted({label for entry in entries for label in entry.labels or (entry.label,)})

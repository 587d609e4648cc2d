"""What a run comes to: counts, labels and digests, gathered group by group."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.ingest.images.tiles import tiles_by_label
from components.ingest.settings import IngestSettings
from darkroom.artifacts.examples import PSEUDO_LABELLED, SPLITS
from darkroom.artifacts.manifest import digest_of
from darkroom.artifacts.statistics import MEASURES, Statistics
from darkroom.artifacts.tiles import TILE_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa


@dataclasses.dataclass
class Summary:
    """What the examples are, in a size that does not grow with the photographs.

    Attributes:
        statistics: Of the photographs that are kept.
        photographs: Number of photographs that are kept.
        read: Number of photographs that were opened, read and decoded.
        labels: Labels that occur.
        multi_label: Whether photographs have lists of labels.
        reasons: Refused rows by reason.
        digests: SHA-256 of each shard by file name.
        pseudo_labelled: Number of examples whose label a model gave.
    """

    statistics: Statistics = dataclasses.field(default_factory=Statistics)
    photographs: int = 0
    read: int = 0
    labels: set[str] = dataclasses.field(default_factory=set)
    multi_label: bool = False
    reasons: Counter[str] = dataclasses.field(default_factory=Counter)
    digests: dict[str, str] = dataclasses.field(default_factory=dict)
    pseudo_labelled: int = 0

    def merge(self, other: "Summary") -> "Summary":
        """Adds what another group comes to; gives this one."""
        self.statistics.merge(other.statistics)
        self.photographs += other.photographs
        self.read += other.read
        self.labels |= other.labels
        self.multi_label |= other.multi_label
        self.reasons += other.reasons
        self.digests |= other.digests
        self.pseudo_labelled += other.pseudo_labelled
        return self

    @property
    def counts(self) -> dict[str, int]:
        """Number of examples by split."""
        return {split: self.statistics.photographs[split] for split in SPLITS}

    def label_list(self, settings: IngestSettings) -> list[str]:
        """The one sorted label list, from which every later step takes a label's index."""
        return sorted(self.labels if settings.labels is None else set(settings.labels))


def summarize(kept: "pa.Table", settings: IngestSettings) -> Summary:
    """What a group's photographs come to, without its shards.

    Args:
        kept: Their entries.
        settings: The ingest step's settings.
    """
    total = Summary(photographs=kept.num_rows)
    splits, examples = (kept.column(name).to_pylist() for name in ("split", "examples"))
    measures = {name: kept.column(name).to_numpy(zero_copy_only=False) for name in MEASURES}
    shown = list(_shown(kept, examples, settings))
    members, labels, numbers = zip(*shown, strict=True) if shown else ((), (), ())
    total.labels.update(labels)
    total.statistics.add_all(measures, splits, examples, members, labels, numbers)
    merged = kept.column("merged_labels").to_pylist()
    total.statistics.merged_labels = sum(map(bool, merged))
    marked = kept.column("pseudo_labelled").to_pylist()
    total.pseudo_labelled = sum(itertools.compress(examples, marked))
    total.multi_label = any(kept.column("labels").to_pylist()) or any(merged)
    return total


def _shown(
    kept: "pa.Table", examples: Sequence[int], settings: IngestSettings
) -> Iterable[tuple[int, str, int]]:
    """Places of photographs, each with a label and the number of its examples that have it."""
    import pyarrow.compute as pc

    tiles = kept.column("tile_values").to_pylist()
    has_lists = any(
        pc.any(pc.greater(pc.list_value_length(kept.column(name)), 0)).as_py()
        for name in ("labels", "merged_labels")
    )
    if not has_lists and not any(tiles):
        return zip(range(kept.num_rows), kept.column("label").to_pylist(), examples, strict=True)
    return (
        (place, label, number)
        for place, labels in enumerate(shown_labels(kept))
        for label, number in (
            tiles_by_label(tiles[place], settings.labels or ())
            if tiles[place]
            else dict.fromkeys(labels, examples[place])
        ).items()
    )


def shown_labels(entries: "pa.Table") -> Iterator[tuple[str, ...]]:
    """The labels that each entry's example has, of which there may be one."""
    columns = [entries.column(name).to_pylist() for name in ("label", "labels", "merged_labels")]
    for label, labels, merged in zip(*columns, strict=True):
        yield tuple(merged or labels or (label,))


def examples_manifest(
    total: Summary, data: str, columns: Mapping[str, str], settings: IngestSettings
) -> dict[str, Any]:
    """The content of the examples' manifest.

    Args:
        total: What the run comes to.
        data: Where the rows came from.
        columns: Type by name of the extra columns.
        settings: The ingest step's settings.
    """
    return {
        "labels": total.label_list(settings),
        "multi_label": total.multi_label,
        "counts": total.counts,
        PSEUDO_LABELLED: total.pseudo_labelled,
        "columns": {**columns, **(TILE_COLUMNS if settings.tiles else {})},
        "rejected": dict(total.reasons),
        "data": data,
        "settings": settings.model_dump(mode="json"),
        "digest": digest_of(total.digests),
    }

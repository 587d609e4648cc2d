"""What the photographs are like: counts by split and label, and distributions, in one pass."""

import dataclasses
from bisect import bisect_right
from collections import Counter
from typing import Any

from components.ingest.photograph import Photograph

EDGES: dict[str, tuple[float, ...]] = {
    "height": (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192),
    "width": (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192),
    "brightness": tuple(range(16, 256, 16)),
    "sharpness": (1, 3, 10, 30, 100, 300, 1000, 3000, 10000),
}
"""Inner bin edges of each distribution. Fixed, so that the distributions of two runs compare."""


@dataclasses.dataclass
class Statistics:
    """Statistics that add up: a chunk's and the whole's are of one kind.

    Attributes:
        counts: Examples by split, then by label.
        formats: Photographs by file format.
        converted: Photographs encoded anew.
        histograms: Count by bin (one more than edges) of each distribution.
    """

    counts: dict[str, Counter[str]] = dataclasses.field(default_factory=dict)
    formats: Counter[str] = dataclasses.field(default_factory=Counter)
    converted: int = 0
    histograms: dict[str, list[int]] = dataclasses.field(
        default_factory=lambda: {name: [0] * (len(edges) + 1) for name, edges in EDGES.items()}
    )

    def add(self, photograph: Photograph, split: str, label: str) -> None:
        """Counts one photograph."""
        self.counts.setdefault(split, Counter())[label] += 1
        self.formats[photograph.file_format] += 1
        self.converted += photograph.converted
        for name, edges in EDGES.items():
            self.histograms[name][bisect_right(edges, getattr(photograph, name))] += 1

    def merge(self, other: "Statistics") -> None:
        """Adds another chunk's statistics."""
        for split, labels in other.counts.items():
            self.counts.setdefault(split, Counter()).update(labels)
        self.formats.update(other.formats)
        self.converted += other.converted
        for name, histogram in other.histograms.items():
            self.histograms[name] = [
                a + b for a, b in zip(self.histograms[name], histogram, strict=True)
            ]

    def to_json(self) -> dict[str, Any]:
        """JSON values that `from_json` reads back."""
        return {
            "counts": {split: dict(labels) for split, labels in self.counts.items()},
            "formats": dict(self.formats),
            "converted": self.converted,
            "histograms": self.histograms,
            "edges": EDGES,
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Statistics":
        """Reads what `to_json` gave."""
        return cls(
            counts={split: Counter(labels) for split, labels in document["counts"].items()},
            formats=Counter(document["formats"]),
            converted=document["converted"],
            histograms=document["histograms"],
        )

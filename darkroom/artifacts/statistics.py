"""What the photographs are like: counts by split and label, and distributions, in one pass."""

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from darkroom.artifacts.manifest import read_manifest, write_manifest
from darkroom.errors import StepError
from darkroom.storage.atomic import write_json

KIND = "statistics"
STATISTICS_FILE = "statistics.json"

_SIDES = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)
_LARGE_SIDES = (1024, 1536, 2048, 3072, 4096, 6144, 8192)

EDGES: dict[str, tuple[float, ...]] = {
    "height": _SIDES + _LARGE_SIDES,
    "width": _SIDES + _LARGE_SIDES,
    # The usual formats (1:1, 5:4, 4:3, 3:2, 16:9, 2:1 and upright) lie within bins, not on edges.
    "aspect": (0.3, 0.45, 0.53, 0.61, 0.7, 0.78, 0.91, 1.1, 1.29, 1.42, 1.65, 1.9, 2.2, 3.3),
    "brightness": tuple(range(16, 256, 16)),
    "contrast": tuple(range(8, 128, 8)),
    "sharpness": (1, 3, 10, 30, 100, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 10000),
}
"""Inner bin edges of each distribution. Fixed, so that the distributions of two runs compare."""

MEASURES = ("height", "width", "file_format", "converted", "brightness", "contrast", "sharpness")
"""What is known of a photograph, as `Measured` names it."""


class Measured(Protocol):
    """A photograph, or what is known of one."""

    @property
    def height(self) -> int: ...  # noqa: D102
    @property
    def width(self) -> int: ...  # noqa: D102
    @property
    def file_format(self) -> str: ...  # noqa: D102
    @property
    def converted(self) -> bool: ...  # noqa: D102
    @property
    def brightness(self) -> float: ...  # noqa: D102
    @property
    def contrast(self) -> float: ...  # noqa: D102
    @property
    def sharpness(self) -> float: ...  # noqa: D102


@dataclasses.dataclass
class Distributions:
    """How some photographs, all or those of a label, are distributed.

    Attributes:
        formats: Photographs by file format.
        histograms: Count by bin (one more than edges) of each distribution.
    """

    formats: Counter[str] = dataclasses.field(default_factory=Counter)
    histograms: dict[str, list[int]] = dataclasses.field(
        default_factory=lambda: {name: [0] * (len(edges) + 1) for name, edges in EDGES.items()}
    )

    def merge(self, other: "Distributions") -> None:
        """Adds those of other photographs."""
        self.formats.update(other.formats)
        for name, histogram in other.histograms.items():
            self.histograms[name] = [
                a + b for a, b in zip(self.histograms[name], histogram, strict=True)
            ]

    def to_json(self) -> dict[str, Any]:
        """JSON values that `from_json` reads back."""
        return {"formats": dict(self.formats), "histograms": self.histograms}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Distributions":
        """Reads what `to_json` gave."""
        return cls(Counter(document["formats"]), document["histograms"])


@dataclasses.dataclass
class Statistics:
    """What is counted of the photographs.

    Attributes:
        photographs: Examples by split.
        counts: Examples by split, then by label; one with several labels counts for each.
        converted: Photographs encoded again.
        merged_labels: Photographs with the labels of all their copies, whose labels conflicted.
        overall: Distributions of all photographs; one that is cut into tiles counts once.
        by_label: Distributions of the photographs of each label.
    """

    photographs: Counter[str] = dataclasses.field(default_factory=Counter)
    counts: dict[str, Counter[str]] = dataclasses.field(default_factory=dict)
    converted: int = 0
    merged_labels: int = 0
    overall: Distributions = dataclasses.field(default_factory=Distributions)
    by_label: dict[str, Distributions] = dataclasses.field(default_factory=dict)

    @property
    def label_counts(self) -> Counter[str]:
        """Examples by label."""
        return sum(self.counts.values(), Counter())

    def add(self, photograph: Measured, split: str, *labels: str) -> None:
        """Counts one photograph with its label, or its labels."""
        measured = {name: np.array([getattr(photograph, name)]) for name in MEASURES}
        members = [0] * len(labels)
        self.add_all(measured, [split], [1], members, labels, [1] * len(labels))

    def add_all(
        self,
        photographs: Mapping[str, npt.NDArray[Any]],
        splits: Sequence[str],
        examples: Sequence[int],
        members: Sequence[int],
        labels: Sequence[str],
        numbers: Sequence[int],
    ) -> None:
        """Counts photographs.

        Args:
            photographs: What is known of them: an array of each of `MEASURES`, [N].
            splits: The split that each is in, [N].
            examples: The number of examples of each, [N]: several where it is cut into tiles.
            members: Which photographs have labels, [M]; one that has several comes as often.
            labels: The label of each of these, [M].
            numbers: The number of its examples that have that label, [M].
        """
        of_split, split_places = _numbered(splits)
        of_label, label_places = _numbered(labels)
        owners = np.asarray(members, int)
        for split, number in zip(of_split, _summed(split_places, examples), strict=True):
            self.photographs[split] += number
        pairs = split_places[owners] * len(of_label) + label_places
        counts = iter(_summed(pairs, numbers, len(of_split) * len(of_label)))
        for split in of_split:
            known = self.counts.setdefault(split, Counter())
            known.update({label: n for label in of_label if (n := next(counts))})
        self.converted += int(np.count_nonzero(photographs["converted"]))
        measured = _Measures(photographs)
        everyone = np.arange(len(splits))
        (overall,) = measured.distributions(np.zeros_like(everyone), everyone, 1)
        self.overall.merge(overall)
        by_label = measured.distributions(label_places, owners, len(of_label))
        for label, added in zip(of_label, by_label, strict=True):
            self.by_label.setdefault(label, Distributions()).merge(added)

    def merge(self, other: "Statistics") -> None:
        """Adds those of other photographs."""
        self.photographs += other.photographs
        for split, counts in other.counts.items():
            self.counts.setdefault(split, Counter()).update(counts)
        self.converted += other.converted
        self.merged_labels += other.merged_labels
        self.overall.merge(other.overall)
        for label, part in other.by_label.items():
            self.by_label.setdefault(label, Distributions()).merge(part)

    def to_json(self) -> dict[str, Any]:
        """JSON values that `from_json` reads back."""
        return {
            "photographs": dict(self.photographs),
            "counts": {split: dict(labels) for split, labels in self.counts.items()},
            "converted": self.converted,
            "merged_labels": self.merged_labels,
            "edges": {name: list(edges) for name, edges in EDGES.items()},
            **self.overall.to_json(),
            "by_label": {name: self.by_label[name].to_json() for name in sorted(self.by_label)},
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Statistics":
        """Reads what `to_json` gave."""
        return cls(
            photographs=Counter(document["photographs"]),
            counts={split: Counter(labels) for split, labels in document["counts"].items()},
            converted=document["converted"],
            merged_labels=document.get("merged_labels", 0),
            overall=Distributions.from_json(document),
            by_label={
                label: Distributions.from_json(part) for label, part in document["by_label"].items()
            },
        )


_Places = npt.NDArray[np.int64]


def _numbered(names: Sequence[str]) -> tuple[list[str], _Places]:
    """The names that occur, and the place of each one's among them."""
    places: dict[str, int] = {}
    found = [places.setdefault(name, len(places)) for name in names]
    return list(places), np.array(found, np.int64)


def _summed(places: _Places, numbers: Sequence[int], count: int = 0) -> list[int]:
    """The sum of the numbers at each place; exact, as long as it is below 2 to the power of 53."""
    found: list[int] = np.bincount(places, numbers, count).astype(int).tolist()
    return found


class _Measures:
    """The bins that photographs fall into."""

    def __init__(self, photographs: Mapping[str, npt.NDArray[Any]]) -> None:
        values = {**photographs, "aspect": photographs["width"] / photographs["height"]}
        self._bins = {
            name: np.searchsorted(edges, values[name], "right") for name, edges in EDGES.items()
        }
        self._formats, self._format_places = _numbered(photographs["file_format"].tolist())

    def distributions(self, groups: _Places, owners: _Places, count: int) -> list[Distributions]:
        """The distributions of groups of them.

        Args:
            groups: Numbers of groups, [M].
            owners: Which photograph is in each of these, [M].
            count: Number of groups.
        """

        def counted(places: _Places, bins: int) -> list[list[int]]:
            keys = groups * bins + places[owners]
            found: list[list[int]] = (
                np.bincount(keys, minlength=count * bins).reshape(count, bins).tolist()
            )
            return found

        formats = counted(self._format_places, len(self._formats))
        histograms = {
            name: counted(bins, len(EDGES[name]) + 1) for name, bins in self._bins.items()
        }
        return [
            Distributions(
                Counter({n: c for n, c in zip(self._formats, formats[group], strict=True) if c}),
                {name: histogram[group] for name, histogram in histograms.items()},
            )
            for group in range(count)
        ]


def read_statistics(folder: Path) -> Statistics:
    """Reads a statistics artifact.

    Raises:
        StepError: It is missing, not complete, or of a release that had other bins.
    """
    read_manifest(folder, KIND)
    document = json.loads((folder / STATISTICS_FILE).read_text(encoding="utf-8"))
    return parsed_statistics(document, str(folder))


def parsed_statistics(document: dict[str, Any], folder: str) -> Statistics:
    """Reads what `Statistics.to_json` gave.

    Args:
        document: JSON values.
        folder: Where they are, for messages.

    Raises:
        StepError: They are of a release that had other bins.
    """
    if document["edges"] != {name: list(edges) for name, edges in EDGES.items()}:
        raise StepError(f"{folder} has the bins of another release: make it again")
    return Statistics.from_json(document)


def write_statistics(
    folder: Path, statistics: Statistics, findings: Sequence[Mapping[str, str]]
) -> None:
    """Completes a statistics artifact.

    Args:
        folder: The artifact being written, with the data card in it.
        statistics: What it holds.
        findings: What was not as expected: `code`, `severity` and `message` of each.
    """
    write_json(folder / STATISTICS_FILE, statistics.to_json())
    content = {
        "photographs": statistics.photographs,
        "counts": statistics.counts,
        "findings": list(findings),
    }
    write_manifest(folder, KIND, content)

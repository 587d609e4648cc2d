"""The data card: what the photographs are, as one HTML page and as Markdown."""

import dataclasses
import html
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.ingest.card.charts import charts, sparklines
from components.ingest.card.pictures import Pictures, pictured_labels
from components.ingest.card.samples import Samples
from components.ingest.validation import Finding
from darkroom.artifacts.examples import SPLITS
from darkroom.artifacts.rejected import COPY_REASONS, NO_FAULT, Rejection
from darkroom.artifacts.statistics import Statistics

PAGE = "card.html"
MARKDOWN = "card.md"

LISTED_LABELS = 500
"""Rows of the table of labels; `statistics.json` has them all."""
LONGEST_VALUE = 300
"""Characters of a setting, or of a row's detail, that are shown."""


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a data card is made of.

    Attributes:
        labels: The labels there may be.
        statistics: Those of the photographs.
        previous: An earlier run's, where they were compared.
        findings: What is not as expected.
        reasons: Number of refused rows by reason.
        samples: Some of them.
        pictures: Some photographs of the labels, and copies beside what was kept.
        facts: How the examples were made: names and JSON values, nested or not.
    """

    labels: Sequence[str]
    statistics: Statistics
    previous: Statistics | None
    findings: Sequence[Finding]
    reasons: Counter[str]
    samples: Samples
    pictures: Pictures
    facts: Mapping[str, Any]


def write_card(folder: Path, contents: Contents) -> None:
    """Writes `card.html`, which loads nothing else, and `card.md`, which has no pictures.

    Args:
        folder: Where they go.
        contents: What they show.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    shown = _shown(contents)
    for name, options in (
        (PAGE, {"autoescape": True}),
        (MARKDOWN, {"autoescape": False, "finalize": _markdown}),
    ):
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            **options,
        )
        environment.filters["count"] = "{:,}".format
        environment.filters["percent"] = "{:.1%}".format
        text = environment.get_template(f"{name}.j2").render(shown)
        (folder / name).write_text(text, encoding="utf-8")


def _markdown(value: object) -> str:
    """A value as text that no Markdown reader takes for markup."""
    text = html.escape(" ".join(str(value).split()), quote=False)
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", text)


def _shown(contents: Contents) -> dict[str, Any]:
    statistics = contents.statistics
    counts = statistics.label_counts
    pictured = pictured_labels(contents.labels, statistics)
    reasons = contents.reasons
    previous = contents.previous.overall if contents.previous else None
    return {
        "splits": SPLITS,
        "statistics": statistics,
        "total": statistics.photographs.total(),
        "photographs": statistics.overall.formats.total(),
        "findings": contents.findings,
        "compared": contents.previous is not None,
        "labels": [_label_row(label, statistics) for label in contents.labels[:LISTED_LABELS]],
        "label_total": len(contents.labels),
        "most": max(counts.values(), default=1),
        "balance": balance(counts, contents.labels),
        "pictures": contents.pictures.by_label,
        "charts": charts(statistics.overall, previous),
        "sparklines": {
            label: sparklines(statistics.by_label[label], statistics.overall)
            for label in pictured
            if label in statistics.by_label
        },
        "reasons": reasons.most_common(),
        "refused": sum(n for reason, n in reasons.items() if reason not in NO_FAULT),
        "copies": sum(n for reason, n in reasons.items() if reason in COPY_REASONS),
        "refused_rows": _refused_rows(contents.samples.refused),
        "comparisons": contents.pictures.comparisons,
        "facts": _flat(contents.facts),
    }


def _label_row(label: str, statistics: Statistics) -> dict[str, Any]:
    by_split = {split: statistics.counts.get(split, Counter())[label] for split in SPLITS}
    return {"label": label, "total": sum(by_split.values()), **by_split}


def balance(counts: Mapping[str, int], labels: Sequence[str]) -> dict[str, Any]:
    """How evenly the photographs are spread over the labels.

    Args:
        counts: Photographs by label.
        labels: The labels there may be.

    Returns:
        `largest` and `smallest` (labels), `ratio` (of their photographs; None where the smallest
        has none) and `effective`: the number of equally large labels that have the same entropy.
    """
    ordered = sorted(labels, key=lambda label: -counts.get(label, 0))
    most, fewest = (counts.get(label, 0) for label in (ordered[0], ordered[-1]))
    total = sum(counts.values())
    shares = [count / total for count in counts.values() if count]
    return {
        "largest": ordered[0],
        "smallest": ordered[-1],
        "ratio": most / fewest if fewest else None,
        "effective": math.exp(-sum(share * math.log(share) for share in shares)),
    }


def _refused_rows(
    refused: Mapping[str, Sequence[Rejection]],
) -> dict[str, list[tuple[str, str]]]:
    """Rows of each reason: what they name, and the detail."""
    return {
        reason: [(_named(each.row), each.detail[:LONGEST_VALUE]) for each in rows]
        for reason, rows in refused.items()
    }


def _named(row: Mapping[str, object]) -> str:
    if row.get("image"):
        return str(row["image"])[:LONGEST_VALUE]
    return ", ".join(f"{name} {value}" for name, value in row.items())[:LONGEST_VALUE]


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested mappings as dotted names, other values as JSON; what is not set is left out."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        elif value is not None and value != []:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            rows.append((f"{prefix}{name}", text[:LONGEST_VALUE]))
    return rows

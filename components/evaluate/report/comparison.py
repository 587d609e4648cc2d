"""The report's part on the champion: differences as rows, each with its interval drawn."""

from collections.abc import Sequence
from typing import Any

from components.evaluate.comparison.compare import Comparison, Difference
from components.evaluate.comparison.decision import in_words, worse_slices
from components.evaluate.verdict import slice_name

_PADDING = 1.1
"""Room beside the longest interval."""


def comparison_tables(
    comparison: Comparison | None, minimum_size: int, limit: int
) -> dict[str, Any] | None:
    """What the template shows of a comparison; None if there is none.

    Args:
        comparison: The comparison.
        minimum_size: The smallest slice that is judged.
        limit: Most slices that are shown, those of the largest loss.

    Returns:
        `champion`, `problem`, `summary`, `overall` and `slices` (rows), and `more` slices.
    """
    if comparison is None:
        return None
    worse = {slice_name(found.slice) for found in worse_slices(comparison, minimum_size)}
    by_gain = sorted(comparison.slices, key=lambda found: (found.gain or 0.0, -found.count))
    slices = _rows(by_gain[:limit])
    for row in slices:
        small = row["count"] < minimum_size
        row["note"] = "too few images" if small else "worse" if row["name"] in worse else ""
    accuracy = comparison.of("accuracy")
    return {
        "champion": comparison.champion,
        "problem": comparison.problem,
        "summary": in_words(accuracy, comparison.champion) if accuracy else "",
        "overall": _rows([*comparison.overall, *comparison.shares.values()]),
        "slices": slices,
        "more": max(0, len(by_gain) - limit),
    }


def _rows(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    ends = [abs(end) for found in differences for end in (found.low, found.high) if end is not None]
    scale = _PADDING * max(ends, default=0.0) or 1.0
    return [
        {
            "metric": found.metric,
            "name": slice_name(found.slice),
            "of": slice_name(found.slice) if found.slice else "",
            "count": found.count,
            "challenger": found.challenger,
            "champion": found.champion,
            "gain": found.gain,
            "low": found.low,
            "high": found.high,
            "newly_right": found.newly_right,
            "newly_wrong": found.newly_wrong,
            "note": "",
            # In percent of the drawing's width; 0 is in the middle.
            "drawn": [
                None if value is None else 50 + 50 * value / scale
                for value in (found.low, found.gain, found.high)
            ],
        }
        for found in differences
    ]

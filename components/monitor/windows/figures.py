"""What is counted in a window: photographs, labels and how late they came, answers, measures."""

import datetime
import sqlite3
from typing import Any

import numpy as np

from components.monitor.drift.differences import compare_counts
from components.monitor.drift.shares import EDGES, shares_below, shares_of
from components.monitor.reading.answer import FILE_FORMAT, MEASURES
from components.monitor.sequential.changed_share import Counted
from components.monitor.windows.embeddings import embedding_figures
from components.monitor.windows.estimate import window_estimate
from components.monitor.windows.reference import ANSWER_MEASURES, Reference

_COUNTS = """
    SELECT count(*), count(label), coalesce(sum(conflicting), 0), coalesce(sum(label = given), 0),
        min(time), max(time) FROM looked
"""


def window_figures(
    connection: sqlite3.Connection, version: str, window: int, reference: Reference | None
) -> dict[str, Any]:
    """Counts a window, whose photographs are in `looked`.

    Returns:
        JSON values. `first` and `last` are times; `answers` counts all and `photographs` each
        once; `label_delay` has quantiles in hours; `histograms` count by the bins of `EDGES`;
        `estimated` is the accuracy as `window_estimate` gives it; `drift` has, by what is compared
        with the reference, the figures of `compare_counts`, and `embedding` those of
        `embedding_figures`.
    """
    count, labelled, conflicting, right, first, last = connection.execute(_COUNTS).fetchone()
    (answers,) = connection.execute(
        "SELECT count(*) FROM answers WHERE version = ? AND window = ?", (version, window)
    ).fetchone()
    labels = _counted(connection, "label", version, window)
    formats = _counted(connection, FILE_FORMAT, version, window)
    histograms = {
        name: counts
        for name in (*ANSWER_MEASURES, *MEASURES)
        if sum(counts := _histogram(connection, name, version, window))
    }
    return {
        "first": _text(first),
        "last": _text(last),
        "answers": answers,
        "photographs": count,
        "labelled": labelled,
        "unlabelled_share": 1 - labelled / count if count else 0.0,
        "conflicting": conflicting,
        "right": right,
        "label_delay": _delays(connection),
        "labels": labels,
        "formats": formats,
        "histograms": histograms,
        "estimated": reference and window_estimate(connection, version, window, reference),
        "drift": {} if reference is None else _drift(labels, formats, histograms, reference),
        "embedding": reference
        and embedding_figures(connection, version, window, reference.embedded),
    }


def window_shares(figures: dict[str, Any], reference: Reference) -> dict[str, dict[str, Counted]]:
    """The shares of a window that are tested, by family and test, as the reference knows them.

    Args:
        figures: As `window_figures` gives them; of another place, those of `reference_figures`.
        reference: What the window is held against.
    """
    found = {
        "label": shares_of("label", figures["labels"], list(reference.given)),
        "format": shares_of(FILE_FORMAT, figures["formats"], list(reference.formats)),
    }
    for name in (*ANSWER_MEASURES, *MEASURES):
        counts = figures["histograms"].get(name, [0] * (len(EDGES[name]) + 1))
        found[name] = shares_below(name, counts, reference.cuts(name))
    return found


def _counted(
    connection: sqlite3.Connection, column: str, version: str, window: int
) -> dict[str, int]:
    return dict(
        connection.execute(
            f"SELECT {column}, count(*) FROM answers WHERE version = ? AND window = ? AND counted "
            f"AND {column} IS NOT NULL GROUP BY {column} ORDER BY {column}",
            (version, window),
        ).fetchall()
    )


def _histogram(connection: sqlite3.Connection, name: str, version: str, window: int) -> list[int]:
    below = ", ".join(f"coalesce(sum({name} < {edge}), 0)" for edge in EDGES[name])
    row = connection.execute(
        f"SELECT 0, {below}, count({name}) FROM answers "
        "WHERE version = ? AND window = ? AND counted",
        (version, window),
    ).fetchone()
    counts: list[int] = np.diff(row).tolist()
    return counts


def _delays(connection: sqlite3.Connection) -> dict[str, float]:
    """Hours from an answer to its label; one that was labelled before waited for none."""
    rows = connection.execute(
        "SELECT max(known - time, 0) FROM looked WHERE label IS NOT NULL ORDER BY 1"
    )
    hours = np.fromiter((seconds for (seconds,) in rows), np.float64) / 3600
    if not hours.size:
        return {}
    quantiles = np.quantile(hours, [0.5, 0.9, 1.0])
    return dict(zip(("median", "p90", "longest"), quantiles.tolist(), strict=True))


def _drift(
    labels: dict[str, int],
    formats: dict[str, int],
    histograms: dict[str, list[int]],
    reference: Reference,
) -> dict[str, dict[str, float]]:
    pairs: dict[str, tuple[list[int], list[int]]] = {}
    for name, new, old in (
        ("label", labels, reference.given),
        ("format", formats, reference.formats),
    ):
        values = sorted({*new, *old})
        pairs[name] = ([new.get(each, 0) for each in values], [old.get(each, 0) for each in values])
    for name, counts in histograms.items():
        pairs[name] = (counts, list(reference.histograms.get(name, ())))
    return {
        name: compare_counts(new, old)._asdict()
        for name, (new, old) in pairs.items()
        if sum(new) and sum(old)
    }


def _text(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    time = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return time.isoformat(timespec="milliseconds")

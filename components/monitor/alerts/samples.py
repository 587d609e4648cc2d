"""Sample photographs of an alert: the worst recent ones of what it is of."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from components.monitor.alerts.alert import Finding
from components.monitor.reading.answer import FILE_FORMAT, MEASURES
from components.monitor.windows.looked import look_at
from components.monitor.windows.reference import ANSWER_MEASURES

MOST = 3
"""Photographs of an alert."""
_COLUMNS = ("label", FILE_FORMAT)


def worst_photographs(connection: sqlite3.Connection, finding: Finding) -> list[dict[str, Any]]:
    """The worst photographs of the latest window that have to do with a finding.

    Of accuracy those that were answered wrongly, the surest first; of a share that has grown those
    that have it, of one that has become smaller those that have not, the least sure first.

    Args:
        connection: The database, in a transaction.
        finding: What was found.

    Returns:
        JSON values of each: `image_id`, the label that was `given`, its `confidence`, and the
        `label` if it is known.
    """
    if finding.window is None:
        return []
    (window,) = connection.execute(
        "SELECT max(window) FROM windows WHERE version = ?", (finding.version,)
    ).fetchone()
    look_at(connection, finding.version, window)
    rows = _wrong(connection, finding) if finding.kind != "drift" else _drifted(connection, finding)
    return [
        {"image_id": image_id, "given": given, "confidence": confidence, "label": label}
        for (image_id, given, confidence, label), _ in zip(rows, range(MOST), strict=False)
    ]


def _wrong(connection: sqlite3.Connection, finding: Finding) -> Iterator[tuple[Any, ...]]:
    _, _, name = finding.subject.partition(" ")
    asked: Mapping[str, str] = json.loads(name) if name else {}
    rows = connection.execute(
        "SELECT looked.columns, looked.label_columns, answers.image_id, given, confidence, "
        "looked.label FROM looked JOIN answers USING (id) "
        "WHERE looked.label IS NOT NULL AND looked.label != given ORDER BY confidence DESC"
    )
    for of_answer, of_label, *row in rows:
        values = {**json.loads(of_answer), **json.loads(of_label), "label": row[3]}
        if all(str(values.get(column)) == value for column, value in asked.items()):
            yield tuple(row)


def _drifted(connection: sqlite3.Connection, finding: Finding) -> Iterator[tuple[Any, ...]]:
    test, before, after = (finding.figures[name] for name in ("test", "before", "after"))
    grown = before is None or after is None or after >= before
    condition, order, parameters = "true", "confidence", []
    column, equal, value = test.partition("=")
    if equal and column in _COLUMNS:
        condition = f"answers.{column} {'=' if grown else '!='} ?"
        parameters = [value]
    column, below, cut = test.partition("<")
    if below and column in (*MEASURES, *ANSWER_MEASURES):
        condition = f"answers.{column} {'<' if grown else '>='} ?"
        order = f"answers.{column} {'' if grown else 'DESC'}"
        parameters = [float(cut)]
    yield from connection.execute(
        "SELECT answers.image_id, given, confidence, looked.label "
        f"FROM looked JOIN answers USING (id) WHERE {condition} ORDER BY {order}",
        parameters,
    )

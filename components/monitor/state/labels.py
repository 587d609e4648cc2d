"""Keeps labels as their tables have them, and what these say together of a photograph."""

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from components.monitor.state.answers import forget_windows
from components.monitor.state.database import transaction
from darkroom.labels import BadRow, LabelRow

_CHANGED = """
    CREATE TEMP TABLE changed AS
    SELECT "by", name FROM labels WHERE source = :source AND NOT EXISTS (
        SELECT 1 FROM told
        WHERE told."by" = labels."by" AND told.name = labels.name AND told.label = labels.label
    )
    UNION
    SELECT "by", name FROM told WHERE NOT EXISTS (
        SELECT 1 FROM labels
        WHERE labels."by" = told."by" AND labels.name = told.name AND labels.source = :source
        AND labels.label = told.label AND labels.labelled_at IS told.labelled_at
        AND labels.columns = told.columns
    )
"""
_WITHDRAWN = """
    DELETE FROM labels WHERE source = :source AND ("by", name) IN (SELECT "by", name FROM changed)
    AND NOT EXISTS (
        SELECT 1 FROM told
        WHERE told."by" = labels."by" AND told.name = labels.name AND told.label = labels.label
    )
"""
_TOLD = """
    INSERT INTO labels ("by", name, source, label, labelled_at, seen, columns)
    SELECT "by", name, :source, label, labelled_at, :now, columns FROM told
    WHERE ("by", name) IN (SELECT "by", name FROM changed)
    ON CONFLICT DO UPDATE SET labelled_at = excluded.labelled_at, columns = excluded.columns
"""
_TRUTHS = """
    INSERT INTO truths
    SELECT "by", name, iif(count(DISTINCT newest) = 1, max(newest), NULL),
        count(DISTINCT label) > 1, min(coalesce(labelled_at, seen)), max(columns)
    FROM (
        SELECT *, iif(
            coalesce(labelled_at, -1) = max(coalesce(labelled_at, -1)) OVER (
                PARTITION BY "by", name
            ), label, NULL
        ) AS newest
        FROM labels WHERE ("by", name) IN (SELECT "by", name FROM changed)
    )
    GROUP BY "by", name
"""
_WINDOWS = """
    SELECT version, window FROM answers
    WHERE image_id IN (SELECT name FROM changed WHERE "by" = 'image_id')
    UNION
    SELECT version, window FROM answers WHERE key IN (SELECT name FROM changed WHERE "by" = 'key')
"""


def update_labels(
    connection: sqlite3.Connection,
    source: str,
    rows: Iterable[LabelRow | BadRow],
    now: float,
    keep: Collection[str],
    problems: Counter[str],
) -> int:
    """Takes over what a table of labels says by now; what it said before and no longer says goes.

    The newest label of a photograph counts, by `labelled_at`. Where several are as new, or none
    says when, and they differ, the photograph counts as unlabelled.

    Args:
        connection: The database.
        source: The table's name.
        rows: Its rows.
        now: Seconds since 1970.
        keep: The columns to keep, to slice by.
        problems: Counts what is wrong, by reason.

    Returns:
        The number of photographs of which something has changed.
    """
    connection.execute("DROP TABLE IF EXISTS temp.told")
    connection.execute("DROP TABLE IF EXISTS temp.changed")
    connection.execute(
        'CREATE TEMP TABLE told ("by", name, label, labelled_at, columns, '
        'PRIMARY KEY ("by", name, label)) WITHOUT ROWID'
    )
    read = Counter[str]()
    with transaction(connection, temporary=True):
        connection.executemany(
            "INSERT INTO told VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "labelled_at = max(coalesce(labelled_at, excluded.labelled_at), "
            "coalesce(excluded.labelled_at, labelled_at)), columns = excluded.columns",
            _told(rows, keep, problems, read),
        )
    (kept,) = connection.execute("SELECT count(*) FROM told").fetchone()
    if read["rows"] > kept:
        problems["labels that came twice"] += read["rows"] - kept
    named = {"source": source, "now": now}
    with transaction(connection):
        connection.execute(_CHANGED, named)
        (changed,) = connection.execute("SELECT count(*) FROM changed").fetchone()
        if changed:
            connection.execute(_WITHDRAWN, named)
            connection.execute(_TOLD, named)
            connection.execute(
                'DELETE FROM truths WHERE ("by", name) IN (SELECT "by", name FROM changed)'
            )
            connection.execute(_TRUTHS)
            forget_windows(connection, _WINDOWS)
    return int(changed)


def _told(
    rows: Iterable[LabelRow | BadRow],
    keep: Collection[str],
    problems: Counter[str],
    read: Counter[str],
) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        if isinstance(row, BadRow):
            problems[f"a label's row: {row.reason.partition(':')[0]}"] += 1
            continue
        read["rows"] += 1
        columns = {name: row.columns[name] for name in sorted(keep) if name in row.columns}
        yield (
            *(row.by, row.name, row.label, row.labelled_at),
            json.dumps(columns, ensure_ascii=False),
        )


def label_problems(connection: sqlite3.Connection, tables: Collection[str]) -> Counter[str]:
    """What is wrong with labels as a whole: those that contradict each other or have no answer.

    Args:
        connection: The database.
        tables: The tables that are read; labels of others count, since they were once.
    """
    conflicting, undecided = connection.execute(
        "SELECT coalesce(sum(conflicting), 0), coalesce(sum(label IS NULL), 0) FROM truths"
    ).fetchone()
    (unmatched,) = connection.execute(
        """
        SELECT count(*) FROM truths WHERE NOT EXISTS (
            SELECT 1 FROM answers WHERE truths."by" = 'image_id' AND image_id = name
        ) AND NOT EXISTS (SELECT 1 FROM answers WHERE truths."by" = 'key' AND key = name)
        """
    ).fetchone()
    found = {
        "photographs whose labels differ": conflicting,
        "photographs whose labels differ, and none is the newest": undecided,
        "labels of photographs that were not answered": unmatched,
    }
    for source, count in connection.execute("SELECT source, count(*) FROM labels GROUP BY source"):
        if source not in tables:
            found[f"labels of {source}, which 'monitor.labels' no longer names, still count"] = (
                count
            )
    return Counter({reason: count for reason, count in found.items() if count})

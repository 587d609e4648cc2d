"""Whether a retraining is due: what the windows since the last one say."""

import datetime
import json
import math
import sqlite3
from typing import NamedTuple

from components.monitor.quality.floors import floor_evidence
from components.monitor.retraining.conditions import (
    FAMILIES,
    Bound,
    Condition,
    Drift,
    Every,
    NewLabels,
    When,
    windowed_metrics,
)

IN_A_ROW = 2
"""Windows whose whole interval must be beyond a limit, of a metric that is no share."""
_RECENT = 86400.0


class Since(NamedTuple):
    """What a decision goes by.

    Attributes:
        version: The version that is watched.
        time: When the last retraining was claimed, in seconds since 1970; 0.0 if there was none.
        now: The time.
        rate: Of decisions without a reason that a limit may cause over a version's life.
    """

    version: str
    time: float
    now: float
    rate: float


def watched_version(connection: sqlite3.Connection) -> str | None:
    """The version whose windows decide: of those that have answered lately the newest one.

    So a canary is given a chance before the version that it is to replace is retrained again.
    """
    found = connection.execute(
        "SELECT version FROM answers GROUP BY version "
        "HAVING max(time) >= (SELECT max(time) FROM answers) - ? ORDER BY min(time) DESC LIMIT 1",
        (_RECENT,),
    ).fetchone()
    return None if found is None else str(found[0])


def reason_to_retrain(connection: sqlite3.Connection, when: When, since: Since) -> str:
    """Why a retraining is due, in words; "" if none is."""
    for alternative in when:
        reasons = [_reason(connection, condition, since) for condition in alternative]
        if all(reasons):
            return " and ".join(reasons)
    return ""


def _reason(connection: sqlite3.Connection, condition: Condition, since: Since) -> str:
    match condition:
        case Bound():
            return _beyond(connection, condition, since)
        case Drift():
            return _drifted(connection, condition, since)
        case NewLabels():
            count = new_labels(connection, since.time)
            return f"{count:,} new labels" if count >= condition.count else ""
        case Every():
            (first,) = connection.execute("SELECT min(time) FROM answers").fetchone()
            last = since.time or first
            return f"every {condition.words}" if since.now - last >= condition.seconds else ""


def new_labels(connection: sqlite3.Connection, since: float) -> int:
    """How many photographs that were answered have a label that was first read after a time."""
    (count,) = connection.execute(
        """
        SELECT count(DISTINCT image_id) FROM (
            SELECT name AS image_id FROM labels WHERE "by" = 'image_id' AND seen > :since
            AND EXISTS (SELECT 1 FROM answers WHERE image_id = name)
            UNION ALL
            SELECT image_id FROM labels JOIN answers ON key = name
            WHERE "by" = 'key' AND seen > :since
        )
        """,
        {"since": since},
    ).fetchone()
    return int(count)


def _beyond(connection: sqlite3.Connection, bound: Bound, since: Since) -> str:
    name = json.dumps(dict(bound.slice), ensure_ascii=False, sort_keys=True)
    windows = connection.execute(
        """
        SELECT value, low, high, count FROM windows LEFT JOIN metrics
        ON metrics.version = windows.version AND metrics.window = windows.window
        AND metric = ? AND slice = ? AND value IS NOT NULL
        WHERE windows.version = ? AND figures ->> '$.first' >= ? ORDER BY windows.window
        """,
        (bound.metric, name, since.version, _text(since.time)),
    ).fetchall()
    of = " of " + ", ".join(f"{key}={value}" for key, value in bound.slice) if bound.slice else ""
    if windowed_metrics()[bound.metric].is_share:
        counts = [
            (0, 0) if value is None else (round(value * count), count)
            for value, _, _, count in windows
        ]
        # Windows that have no label yet count too: so labels may come in whichever order.
        evidence = floor_evidence(bound.limit, counts)
        if not len(evidence) or evidence[-1] < -math.log(since.rate):
            return ""
        hits, total = map(sum, zip(*counts, strict=True))
        share = f"{hits / total:.3f} of {total:,} photographs"
        return f"{bound.metric}{of} {share} is below {bound.limit:g}"
    lower = windowed_metrics()[bound.metric].direction == "lower"
    last = [row for row in windows if row[0] is not None][-IN_A_ROW:]
    beyond = [
        low is not None and (low > bound.limit if lower else high < bound.limit)
        for _, low, high, _ in last
    ]
    if len(last) < IN_A_ROW or not all(beyond):
        return ""
    side = "above" if lower else "below"
    return f"{bound.metric}{of} {last[-1][0]:.3f} is {side} {bound.limit:g}"


def _drifted(connection: sqlite3.Connection, drift: Drift, since: Since) -> str:
    windows = connection.execute(
        "SELECT window FROM windows WHERE version = ? AND tested AND figures ->> '$.first' >= ? "
        "ORDER BY window DESC LIMIT ?",
        (since.version, _text(since.time), drift.windows),
    ).fetchall()
    if len(windows) < drift.windows:
        return ""
    strongest = ""
    for (window,) in reversed(windows):
        alarms = connection.execute(
            "SELECT test FROM tests WHERE version = ? AND window = ? AND alarm "
            "ORDER BY log_e_value DESC",
            (since.version, window),
        )
        of_family = [test for (test,) in alarms if _is_of(test, drift.family)]
        if not of_family:
            return ""
        strongest = of_family[0]
    windows_said = "window" if drift.windows == 1 else f"{drift.windows} windows"
    return f"{drift.family} drift for {windows_said} ({strongest})".strip()


def _is_of(test: str, family: str) -> bool:
    """Whether a test is of a family; of none given, any test is.

    >>> _is_of("brightness<96", "brightness"), _is_of("file_format=PNG", "label")
    (True, False)
    """
    if not family:
        return True
    name = FAMILIES[family]
    return test.startswith(name) and not test[len(name) : len(name) + 1].isalnum()


def _text(seconds: float) -> str:
    time = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return time.isoformat(timespec="milliseconds")

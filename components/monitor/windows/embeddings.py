"""What the embeddings of a window say: figures for people, and bets for the test `embedding`.

The bets go on from window to window: the table `bets` has the evidence after each. Figures
and directions are kept in `embedded_windows`.
"""

import hashlib
import json
import sqlite3
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from components.monitor.drift.domain import fit_direction, ranks_along, separability
from components.monitor.drift.kernel import kernel_test
from components.monitor.drift.ranks import highest_mean_rank
from components.monitor.sequential.alarms import range_error
from components.monitor.sequential.evidence import Evidence, add_window
from components.monitor.state.embeddings import embeddings_of
from components.monitor.windows.embedded import FEWEST, Embedded

TEST = "embedding"
"""The family, and its one test."""
Floats = npt.NDArray[np.float64]


class Bet(NamedTuple):
    """What is known after a window.

    Attributes:
        log_e_value: The natural logarithm of the evidence that embeddings have changed.
        since: The window since which they most likely are others.
        rank: The mean rank of the window's photographs, which is 0.5 while nothing has changed;
            None where none of them could be ranked.
    """

    log_e_value: float
    since: int
    rank: float | None


def embedding_figures(
    connection: sqlite3.Connection, version: str, window: int, reference: Embedded | None
) -> dict[str, float] | None:
    """The figures of a window beside the reference; computed once for the same embeddings.

    The direction in which the window differs most is kept with them, for the next window's bets.

    Args:
        connection: The database, in a transaction.
        version: The model's version.
        window: The window.
        reference: What the version is held against, if it has embeddings.

    Returns:
        `photographs`, the number that was compared; `mmd2` and `p_value` of the kernel's test, for
        one look; `separability`, as of `drift.domain`. None with too few photographs.
    """
    if reference is None:
        return None
    rows, _ = embeddings_of(connection, version, window, reference.size)
    if len(rows) < FEWEST:
        connection.execute(
            "DELETE FROM embedded_windows WHERE version = ? AND window = ?", (version, window)
        )
        return None
    sample = hashlib.sha256(reference.digest.encode() + rows.tobytes()).hexdigest()
    known = connection.execute(
        "SELECT figures FROM embedded_windows WHERE version = ? AND window = ? AND sample = ?",
        (version, window, sample),
    ).fetchone()
    if known is not None:
        read: dict[str, float] = json.loads(known[0])
        return read
    found: dict[str, float] = {"photographs": len(rows)}
    if reference.bandwidth > 0:
        found |= kernel_test(rows, reference.compared, reference.bandwidth)._asdict()
    found["separability"] = separability(rows, reference.compared)
    direction = fit_direction(rows, reference.fitted)
    connection.execute(
        "REPLACE INTO embedded_windows VALUES (?, ?, ?, ?, ?)",
        (version, window, sample, json.dumps(found, allow_nan=False), direction.tobytes()),
    )
    return found


def bet(
    connection: sqlite3.Connection,
    version: str,
    window: int,
    reference: Embedded,
    share: float,
    rate: float,
) -> Bet | None:
    """Bets on a window, after those before it, and keeps what the next one goes on from.

    A photograph that an earlier window has is not bet on: a direction that was fitted on it knows
    it. One that is like it (of a burst) is.

    Args:
        connection: The database, in a transaction.
        version: The model's version.
        window: The window; all before it have been bet on.
        reference: What the version is held against.
        share: Of the rate, for this test.
        rate: Of false alarms over the version's life.

    Returns:
        None before there is anything to bet on.
    """
    rows, new = embeddings_of(connection, version, window, reference.size)
    evidence = _evidence(connection, version, window)
    fitted_on, direction = _direction(connection, version, window)
    rank = None
    if direction is not None and new.any():
        held_out = reference.held_out
        error = range_error(share, evidence.windows + 1, rate)
        ranks = ranks_along(direction, rows[new], held_out)
        evidence = add_window(evidence, ranks, highest_mean_rank(len(held_out), error))
        rank = float(ranks.mean())
    if not evidence.windows:
        return None
    connection.execute(
        "REPLACE INTO bets VALUES (?, ?, ?)", (version, window, json.dumps(evidence))
    )
    since = _since(connection, version, window, evidence.log_e_value, fitted_on)
    return Bet(evidence.log_e_value, since, rank)


def _evidence(connection: sqlite3.Connection, version: str, window: int) -> Evidence:
    """The evidence of the windows before."""
    row = connection.execute(
        "SELECT evidence FROM bets WHERE version = ? AND window < ? ORDER BY window DESC LIMIT 1",
        (version, window),
    ).fetchone()
    return Evidence() if row is None else Evidence.from_json(json.loads(row[0]))


def _direction(
    connection: sqlite3.Connection, version: str, window: int
) -> tuple[int, Floats | None]:
    """The last window before that has embeddings, and the direction that it gave."""
    row = connection.execute(
        "SELECT window, direction FROM embedded_windows WHERE version = ? AND window < ? "
        "ORDER BY window DESC LIMIT 1",
        (version, window),
    ).fetchone()
    return (window, None) if row is None else (row[0], np.frombuffer(row[1], np.float64))


def _since(
    connection: sqlite3.Connection, version: str, window: int, log_e_value: float, fitted_on: int
) -> int:
    """The window that the direction was fitted on when the evidence last began to grow."""
    before: Any = connection.execute(
        "SELECT window, since, log_e_value FROM tests WHERE version = ? AND test = ? "
        "AND window < ? ORDER BY window DESC LIMIT 1",
        (version, TEST, window),
    ).fetchone()
    last, since, had = before or (window, window, 0.0)
    if log_e_value <= had:
        return window
    return int(since) if since < last else fitted_on

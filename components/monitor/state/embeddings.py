"""Keeps embeddings of a bounded sample of each window: the photographs that come first by digest.

Which they are follows from the answers alone: an answer that comes late pushes others out, and
never lets one in that was not asked for when it was read.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice

import numpy as np
import numpy.typing as npt

from components.monitor.state.answers import forget_windows
from components.monitor.state.database import transaction

MOST = 1000
"""Photographs of a window."""
_TOGETHER = 256
_HIGHEST = 65504.0
"""The largest number of a float16."""

_WANTED = f"""
    CREATE TEMP TABLE wanted AS
    WITH lacking AS (
        SELECT version, image_id FROM pictured
        WHERE version IN (SELECT value FROM json_each(:versions)) AND NOT EXISTS (
            SELECT 1 FROM embeddings
            WHERE embeddings.version = pictured.version AND embeddings.image_id = pictured.image_id
        )
    ),
    touched AS (
        SELECT DISTINCT version, window FROM answers JOIN lacking USING (version, image_id)
    ),
    placed AS (
        SELECT version, image_id, row_number() OVER (
            PARTITION BY version, window ORDER BY image_id
        ) AS place
        FROM answers JOIN touched USING (version, window) WHERE counted
    )
    SELECT DISTINCT version, image_id FROM placed JOIN lacking USING (version, image_id)
    WHERE place <= {MOST}
"""


def want_embeddings(connection: sqlite3.Connection, versions: Iterable[str]) -> int:
    """Makes the temporary table `wanted`, of the photographs in `pictured` that lack an embedding.

    Args:
        connection: The database.
        versions: Those of which embeddings are compared.

    Returns:
        How many are wanted.
    """
    connection.execute("DROP TABLE IF EXISTS temp.wanted")
    connection.execute(_WANTED, {"versions": json.dumps(list(versions))})
    connection.execute("CREATE UNIQUE INDEX temp.each_wanted ON wanted (version, image_id)")
    (count,) = connection.execute("SELECT count(*) FROM wanted").fetchone()
    return int(count)


def take_wanted(connection: sqlite3.Connection, version: str, image_id: str) -> bool:
    """Whether an embedding is wanted; each is once."""
    taken = connection.execute(
        "DELETE FROM wanted WHERE version = ? AND image_id = ?", (version, image_id)
    )
    return taken.rowcount > 0


def add_embeddings(
    connection: sqlite3.Connection,
    embeddings: Iterable[tuple[str, str, npt.NDArray[np.float32]]],
    sizes: Mapping[str, int],
    problems: Counter[str],
) -> None:
    """Adds embeddings, and removes the rows of the windows that have them, to be computed again.

    Args:
        connection: The database.
        embeddings: Version, `image_id` and embedding, [D], of photographs that lack one.
        sizes: Of the embeddings of each version's reference, D.
        problems: Counts what is wrong, by reason.
    """
    remaining = iter(embeddings)
    while chunk := list(islice(remaining, _TOGETHER)):
        rows = []
        for version, image_id, embedding in chunk:
            if len(embedding) != sizes[version] or not np.isfinite(embedding).all():
                problems["an embedding of another size, or not finite (its answer counts)"] += 1
                continue
            short = np.clip(embedding, -_HIGHEST, _HIGHEST).astype(np.float16)
            rows.append((version, image_id, short.tobytes()))
        with transaction(connection):
            connection.executemany("INSERT OR IGNORE INTO embeddings VALUES (?, ?, ?)", rows)
            connection.execute("CREATE TEMP TABLE added (version, image_id)")
            connection.executemany("INSERT INTO added VALUES (?, ?)", [row[:2] for row in rows])
            forget_windows(
                connection,
                "SELECT DISTINCT version, window FROM answers JOIN added USING (version, image_id)",
            )
            connection.execute("DROP TABLE added")


def drop_embeddings(connection: sqlite3.Connection, version: str, window: int) -> None:
    """Removes those of photographs that others have pushed out of a window's sample.

    Args:
        connection: The database, in a transaction.
        version: The model's version.
        window: The window.
    """
    named = {"version": version, "window": window}
    connection.execute(
        f"""
        DELETE FROM embeddings WHERE version = :version AND image_id IN (
            SELECT image_id FROM answers WHERE version = :version AND window = :window AND counted
            ORDER BY image_id LIMIT -1 OFFSET {MOST}
        ) AND NOT EXISTS (
            SELECT 1 FROM answers WHERE answers.image_id = embeddings.image_id
            AND version = :version AND window != :window
        )
        """,
        named,
    )


def embeddings_of(
    connection: sqlite3.Connection, version: str, window: int, size: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """The embeddings of a window's sample, in the order of the digests.

    Args:
        connection: The database.
        version: The model's version.
        window: The window.
        size: Of the embeddings, D.

    Returns:
        float32 [N, D], and of each whether no earlier window has the photograph, bool [N].
    """
    rows = connection.execute(
        f"""
        WITH sample AS (
            SELECT image_id FROM answers WHERE version = :version AND window = :window AND counted
            ORDER BY image_id LIMIT {MOST}
        )
        SELECT embedding, NOT EXISTS (
            SELECT 1 FROM answers WHERE answers.image_id = sample.image_id
            AND version = :version AND window < :window
        )
        FROM sample JOIN embeddings USING (image_id)
        WHERE embeddings.version = :version AND length(embedding) = :bytes ORDER BY image_id
        """,
        {"version": version, "window": window, "bytes": 2 * size},
    ).fetchall()
    joined = np.frombuffer(b"".join(embedding for embedding, _ in rows), np.float16)
    return joined.reshape(-1, size).astype(np.float32), np.array([new for _, new in rows], np.bool_)

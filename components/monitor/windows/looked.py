"""The photographs of one window, each once, beside what is known of their labels."""

import sqlite3

_LOOKED = """
    CREATE TEMP TABLE looked AS
    WITH of_key AS (  -- of all requests with the photograph, also those that do not count
        SELECT image_id, iif(count(DISTINCT truths.label) = 1, max(truths.label), NULL) AS label,
            count(DISTINCT truths.label) > 1 OR max(conflicting) AS conflicting,
            min(known) AS known, max(truths.columns) AS columns
        FROM answers JOIN truths ON truths."by" = 'key' AND truths.name = key
        WHERE version = :version AND window = :window
        GROUP BY image_id
    )
    SELECT answers.id, answers.image_id, answers.label AS given, answers.time,
        answers.columns AS columns,
        iif(of_image.label IS NULL OR of_key.label IS NULL OR of_image.label = of_key.label,
            coalesce(of_image.label, of_key.label), NULL) AS label,
        coalesce(of_image.known, of_key.known) AS known,
        coalesce(of_image.columns, of_key.columns, '{}') AS label_columns,
        coalesce(of_image.conflicting, 0) OR coalesce(of_key.conflicting, 0)
            OR of_image.label != of_key.label AS conflicting
    FROM answers
    LEFT JOIN truths AS of_image ON of_image."by" = 'image_id' AND of_image.name = answers.image_id
    LEFT JOIN of_key USING (image_id)
    WHERE version = :version AND window = :window AND counted
    ORDER BY answers.image_id
"""


def look_at(connection: sqlite3.Connection, version: str, window: int) -> None:
    """Makes the temporary table `looked`, in the order of the identities, which is a random one.

    Args:
        connection: The database.
        version: The model's version.
        window: The window.
    """
    connection.execute("DROP TABLE IF EXISTS temp.looked")
    connection.execute(_LOOKED, {"version": version, "window": window})

"""What to label next as a table, whose column `label` is to be filled in; `export.py` reads it."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from components.monitor.labelling.choice import Choice
from components.monitor.labelling.pool import Pool
from darkroom.storage.atomic import write_text

COLUMNS = ("image", "label", "image_id", "reason", "model_label", "given_label")


def write_worksheet(
    path: Path, pool: Pool, choices: Sequence[Choice], separator: str | None = None
) -> None:
    """Writes the photographs to label, a line each.

    Args:
        path: The CSV to write.
        pool: The photographs.
        choices: Of them, those to label.
        separator: What stands between labels, where photographs have several, such as
            `ingest.label_separator`.

    Raises:
        OSError: It cannot be written.
    """
    text = io.StringIO()
    figures = sorted({name for choice in choices for name in choice.figures})
    writer = csv.DictWriter(text, [*COLUMNS, *figures], lineterminator="\n")
    writer.writeheader()
    for choice in choices:
        answer, given = (
            (separator or " ").join(pool.names(rows[choice.place]))
            for rows in (pool.answers, pool.given)
        )
        image, image_id = pool.images[choice.place], pool.image_ids[choice.place]
        own = dict(zip(COLUMNS, (image, "", image_id, choice.reason, answer, given), strict=True))
        writer.writerow(own | choice.figures)
    write_text(path, text.getvalue())

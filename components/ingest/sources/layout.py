"""What ingest asks of a table's columns."""

from components.ingest.settings import IngestSettings
from darkroom.artifacts.examples import FEATURE_TYPES
from darkroom.artifacts.tiles import TILE_COLUMNS
from darkroom.sources.table_records import Layout

RESERVED = frozenset(FEATURE_TYPES) | {"labels"}
"""Names of our own features, which an extra column must not take."""
SPLIT_COLUMN = "split"


def layout_of(settings: IngestSettings) -> Layout:
    """The layout that the ingest step's settings describe."""
    own = (settings.image_column, settings.label_column, SPLIT_COLUMN, settings.mask_column)
    return Layout(
        image_column=settings.image_column,
        required={
            settings.image_column: "ingest.image_column",
            settings.label_column: "ingest.label_column",
        },
        own=frozenset(name for name in own if name is not None),
        columns=settings.columns,
        instead={settings.label_column: settings.mask_column} if settings.mask_column else {},
        reserved=RESERVED | TILE_COLUMNS.keys() if settings.tiles else RESERVED,
        split_column=SPLIT_COLUMN,
        example="image,label,camera",
    )

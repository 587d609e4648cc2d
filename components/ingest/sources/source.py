"""Where rows come from: label folders, CSV and JSON Lines tables, or scikit-learn's digits."""

import dataclasses
import glob
import logging
import re
from pathlib import Path

from components.ingest.settings import IngestSettings
from components.ingest.sources.archive import is_archive, unpacked
from components.ingest.sources.folder import read_folder, read_remote_folder
from components.ingest.sources.rows import ColumnValue, Row, Table, with_label_lists
from components.ingest.sources.storage import local_files, matching_files
from components.ingest.sources.table import read_tables
from components.ingest.sources.versions import with_versions
from darkroom.artifacts.examples import SPLITS
from darkroom.errors import SettingsError, StepError
from darkroom.storage.paths import is_uri


def write_digits(folder: Path) -> None:
    """Writes the 1,797 digits as 8x8 grey PNG files, `<folder>/<digit>/<number>.png`."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    # Pixels come as 0 to 16; the brightest must stay a byte.
    pixels = np.minimum(digits.images * 16, 255).astype(np.uint8)
    for number, (image, digit) in enumerate(zip(pixels, digits.target, strict=True)):
        path = folder / str(digit) / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


__all__ = ["DIGITS", "ColumnValue", "Row", "Table", "read_source"]

DIGITS = "sklearn:digits"
_TABLE_NAME = re.compile(r"\.(csv|tsv|jsonl|ndjson)$", re.IGNORECASE)
_DEFAULTS = IngestSettings()
_log = logging.getLogger("darkroom.ingest")


def read_source(data: str, digits_folder: Path, settings: IngestSettings = _DEFAULTS) -> Table:
    """Lists the rows of `data`.

    Args:
        data: A folder of label folders, a CSV or JSON Lines file, a glob of such files, any of
            these as a URI that Beam's file systems read, or `sklearn:digits`.
        digits_folder: Where the digits are written, or an archive is unpacked.
        settings: The columns that hold image and labels, and the group.

    Raises:
        SettingsError: There is nothing at `data`, or it cannot be read.
        StepError: It holds no row at all, or a table that does not parse.
    """
    table = _read(data, digits_folder, settings)
    if not table.rows and not table.rejections:
        raise StepError(f"no image at all in {data}: expected label folders of images, or a table")
    table = _with_all_splits(table, settings)
    return dataclasses.replace(table, rows=list(with_versions(table.rows)))


def _with_all_splits(table: Table, settings: IngestSettings) -> Table:
    """The rows; where the input names splits, but not all, those that lack come out of train."""
    asked = {row.split for row in table.rows}
    lacking = [
        split for split in SPLITS if split not in asked and getattr(settings.split, split) > 0
    ]
    if None in asked or "train" not in asked or not lacking:
        return table
    _log.info("no row asks for %s: taken from train by ingest.split", " or ".join(lacking))
    splits = ("train", *lacking)
    rows = [
        dataclasses.replace(row, split=None, splits=splits) if row.split == "train" else row
        for row in table.rows
    ]
    return dataclasses.replace(table, rows=rows)


def _read(data: str, digits_folder: Path, settings: IngestSettings) -> Table:
    if data == DIGITS:
        write_digits(digits_folder)
        return _evenly_labelled(read_folder(digits_folder), settings)
    if is_uri(data):
        if not _TABLE_NAME.search(data) and not glob.has_magic(data):
            return _evenly_labelled(read_remote_folder(data), settings)
        files = matching_files(data)
    elif Path(data).is_dir():
        return _evenly_labelled(read_folder(Path(data)), settings)
    elif is_archive(data):
        return _evenly_labelled(read_folder(unpacked(Path(data), digits_folder)), settings)
    else:
        files = local_files(data)
    if not files:
        raise SettingsError(f"data path {data} does not exist")
    return read_tables(files, settings)


def _evenly_labelled(folder: Table, settings: IngestSettings) -> Table:
    """A folder's rows; with label lists if any could get one, whether copies conflict or not."""
    if settings.conflicting_labels == "keep":
        return dataclasses.replace(folder, rows=with_label_lists(folder.rows))
    return folder

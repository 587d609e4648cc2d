"""A source read whole: label folders, CSV and JSON Lines tables, or scikit-learn's digits."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from components.ingest.settings import IngestSettings
from components.ingest.sources.blocks import Block, list_part
from components.ingest.sources.parts import Part, TablePart, all_parts, folder_parts
from components.ingest.sources.repeats import find_repeats
from components.ingest.sources.rows import Table
from components.ingest.sources.settled import (
    Settled,
    check_source,
    settle,
    settled_rows,
    with_all_splits,
)
from components.ingest.sources.versions import Versions

_DEFAULTS = IngestSettings()


def read_source(data: str, scratch: Path, settings: IngestSettings = _DEFAULTS) -> Table:
    """Lists the rows of `data`.

    Args:
        data: As `find_parts` takes it; `further_data` of the settings is added.
        scratch: Where the digits are written, or an archive is unpacked.
        settings: The columns that hold image and labels, and the group.

    Raises:
        SettingsError: There is nothing at `data`, it cannot be read, or it has no column that
            the settings name.
        StepError: It holds no row at all, or a table that does not parse.
    """
    versions = Versions()
    blocks = _listed(all_parts(data, settings.further_data, scratch), settings)
    for block in blocks:
        block.rows = versions.of(block.rows)
    facts = [block.facts() for block in blocks]
    settled = with_all_splits(settle(facts, settings), facts, settings)
    check_source(data, facts, settled, settings)
    return _as_one(blocks, settled)


def read_tables(files: Iterable[str], settings: IngestSettings) -> Table:
    """Reads the rows of all files of a table.

    A column that only some of the files have is missing in the others.

    Args:
        files: Paths or URIs, in order.
        settings: The columns that hold image and labels, and the group.

    Raises:
        SettingsError: A file cannot be read.
        StepError: A file is not UTF-8, does not parse as CSV, or lacks a column.
    """
    return _read([TablePart(number, file) for number, file in enumerate(files)], settings)


def read_folder(root: str) -> Table:
    """Lists the files below a folder, here or in a bucket; see `folder_table`.

    Raises:
        SettingsError: It does not exist, or a folder may not be read.
    """
    return _read(folder_parts(root), _DEFAULTS)


def _read(parts: Sequence[Part], settings: IngestSettings) -> Table:
    blocks = _listed(parts, settings)
    return _as_one(blocks, settle([block.facts() for block in blocks], settings))


def _listed(parts: Sequence[Part], settings: IngestSettings) -> list[Block]:
    """The blocks of all parts, without rows that repeat others."""
    blocks = [block for part in parts for block in list_part(part, settings)]
    keys = [block.keys() for block in blocks]
    repeats = find_repeats(np.concatenate(keys)) if keys else {}
    for block in blocks:
        block.drop(repeats.get(block.place, ()))
    return blocks


def _as_one(blocks: Sequence[Block], settled: Settled) -> Table:
    table = Table([], [], settled.columns)
    for block in blocks:
        found = settled_rows(block, settled)
        table.rows.extend(found.rows)
        table.rejections.extend(found.rejections)
        table.side_files.extend(block.side_files)
    return table

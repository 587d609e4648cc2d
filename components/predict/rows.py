"""The rows that are predicted: photographs by their files, and by the rows of tables."""

import dataclasses
import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from components.predict.settings import PredictSettings
from darkroom.artifacts.batch_predictions import passed_name
from darkroom.artifacts.examples import HEIGHT, LABEL, SPLITS, WIDTH, Examples, read_examples
from darkroom.artifacts.manifest import MANIFEST
from darkroom.artifacts.rejected import Reason, Rejection
from darkroom.artifacts.tiles import TILE_TOP
from darkroom.errors import SettingsError, StepError
from darkroom.settings import nearest
from darkroom.sources.columns import ColumnTypes, ColumnValue
from darkroom.sources.file_names import is_left_by_systems, is_side_file
from darkroom.sources.folders import files_below, refused_name
from darkroom.sources.storage import listed_files, local_files
from darkroom.sources.table_records import (
    Layout,
    Seen,
    is_json_lines,
    location_of,
    read_records,
    rejection,
)
from darkroom.storage.atomic import os_reason
from darkroom.storage.paths import is_uri

_TABLE_NAME = re.compile(r"\.(csv|tsv|jsonl|ndjson)$", re.IGNORECASE)
_RECORDS_NAME = ".tfrecord"


class Row(NamedTuple):
    """A photograph that has not been opened yet.

    Attributes:
        image: The photograph as the input names it.
        location: Path or URI to open.
        columns: The columns that are passed through.
    """

    image: str
    location: str
    columns: dict[str, ColumnValue]


class Records(NamedTuple):
    """A TFRecord file of examples.

    Attributes:
        location: Path or URI.
    """

    location: str


@dataclasses.dataclass
class Listed:
    """What listing has shown so far of the columns.

    Attributes:
        types: Those of tables, whose types are known when all rows have been read.
        features: Type of those of examples.
    """

    types: ColumnTypes = dataclasses.field(default_factory=ColumnTypes)
    features: dict[str, str] = dataclasses.field(default_factory=dict)

    def columns(self, settings: PredictSettings) -> dict[str, str]:
        """Type (`bytes`, `int` or `float`) by name of the columns that are passed through.

        Raises:
            SettingsError: One that is asked for does not exist, or two would have one name.
        """
        found = self.types.types() | self.features
        for name in settings.pass_columns or ():
            if name not in found:
                raise SettingsError(
                    f"setting 'predict.pass_columns': there is no column '{name}'"
                    f"{nearest(name, found)}"
                )
        passed = found if settings.pass_columns is None else settings.pass_columns
        for name in passed:
            if (renamed := passed_name(name)) != name and renamed in passed:
                raise SettingsError(
                    f"the columns '{name}' and '{renamed}' would both be '{renamed}': rename one, "
                    "or leave it out of predict.pass_columns"
                )
        return {name: found[name] for name in passed}


def list_rows(settings: PredictSettings, listed: Listed) -> Iterator[Row | Records | Rejection]:
    """Lists what there is to predict, in order.

    Args:
        settings: `data`, and what tables look like.
        listed: Learns the columns.

    Raises:
        SettingsError: There is nothing at one of the places, or it cannot be read.
        StepError: A table does not parse, or lacks a column.
    """
    for place in settings.data:
        try:
            yield from _at(place, settings, listed)
        except OSError as error:
            raise SettingsError(f"cannot read {place}: {os_reason(error)}") from error


def _at(
    place: str, settings: PredictSettings, listed: Listed
) -> Iterator[Row | Records | Rejection]:
    if not is_uri(place) and Path(place).is_dir():
        if (Path(place) / MANIFEST).is_file():
            yield from _of_examples(read_examples(Path(place)), listed)
        else:
            yield from _of_folder(place)
        return
    files = list(_files(place))
    if not files:
        what = "no file matches" if glob.has_magic(place) else "there is no file or folder"
        raise SettingsError(f"{what} {place}")
    for file in files:
        if _TABLE_NAME.search(file):
            yield from _of_table(file, settings, listed)
        elif file.endswith(_RECORDS_NAME):
            listed.features |= _features_beside(file)
            yield Records(file)
        else:
            yield _of_file(file)


def _files(place: str) -> Iterator[str]:
    """The files at a place: one, those that a glob matches, or those of a bucket's folder."""
    if not is_uri(place):
        yield from (file for file in local_files(place) if not Path(file).is_dir())
        return
    found = [file.location for file in listed_files(place)]
    if not found and not glob.has_magic(place):
        folder = place.rstrip("/")
        below = (file.location for file in listed_files(f"{folder}/**"))
        found = [
            file
            for file in below
            if not is_left_by_systems(file.removeprefix(f"{folder}/")) and not is_side_file(file)
        ]
    yield from found


def _of_folder(folder: str) -> Iterator[Row | Rejection]:
    """The files below a folder that are photographs, as far as their names tell, sorted."""
    for name in files_below(Path(folder)):
        if not is_side_file(name):
            yield _of_file(os.path.join(folder, name))  # noqa: PTH118  # keeps `./`


def _of_file(file: str) -> Row | Rejection:
    return refused_name(file) or Row(file, file, {})


def _of_examples(examples: Examples, listed: Listed) -> Iterator[Records]:
    listed.features |= _features(examples)
    for split in SPLITS:
        yield from map(Records, examples.shards(split))


def _features(examples: Examples) -> dict[str, str]:
    sizes = {HEIGHT: "int", WIDTH: "int"} if TILE_TOP in examples.columns else {}
    return {LABEL: "bytes", **sizes, **examples.columns}


def _features_beside(file: str) -> dict[str, str]:
    """The columns of a file of an examples artifact; of any other only the label."""
    if not is_uri(file):
        try:
            return _features(read_examples(Path(file).parent))
        except StepError:
            pass
    return {LABEL: "bytes"}


def _of_table(file: str, settings: PredictSettings, listed: Listed) -> Iterator[Row | Rejection]:
    folder = file.rpartition("/")[0] + "/" if "/" in file else ""
    seen = Seen(listed.types)
    layout = Layout(
        image_column=settings.image_column,
        required={settings.image_column: "predict.image_column"},
        own=frozenset({settings.image_column}),
        columns=settings.columns,
    )
    for record in read_records(file, layout, seen):
        if isinstance(record, Rejection):
            yield record
            continue
        cells = record.cells
        image = cells.pop(settings.image_column, None)
        if not isinstance(image, str):
            is_missing = image is None
            reason = Reason.MISSING_FILE if is_missing else Reason.MALFORMED_ROW
            detail = "the image path is empty" if is_missing else "the image path is no text"
            yield rejection(file, record, reason, detail)
            continue
        listed.types.add(cells, is_json_lines(file))
        if settings.pass_columns is not None:
            cells = {name: value for name, value in cells.items() if name in settings.pass_columns}
        yield Row(image, location_of(image, folder), cells)

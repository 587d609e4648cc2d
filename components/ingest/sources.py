"""Where rows come from: a folder of label folders, a CSV table, or scikit-learn's digits."""

import csv
import dataclasses
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from components.artifacts.errors import SettingsError, StepError
from components.artifacts.examples import FEATURE_TYPES
from components.ingest.rejection import Reason, RejectedError, Rejection

DIGITS = "sklearn:digits"
IMAGE_COLUMN = "image"
LABEL_COLUMN = "label"
_IMAGE_NAME = re.compile(r"\.(jpe?g|png|gif|bmp|webp|tiff?)$", re.IGNORECASE)

ColumnValue = str | int | float


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the input that has an image and a label; the image has not been opened yet.

    Attributes:
        image: The image as the input names it: a path within the data folder, or a table's cell.
        location: Path or URI to open.
        label: Its label.
        columns: Values of the extra columns.
    """

    image: str
    location: str
    label: str
    columns: dict[str, ColumnValue] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Table:
    """Everything the input lists.

    Attributes:
        rows: Rows to open.
        rejections: Rows refused before their image was opened.
        columns: Type (`bytes`, `int` or `float`) of every extra column.
    """

    rows: list[Row]
    rejections: list[Rejection]
    columns: dict[str, str]


def read_source(data: str, digits_folder: Path) -> Table:
    """Lists the rows of `data`.

    Args:
        data: A folder of label folders, a CSV file, or `sklearn:digits`.
        digits_folder: Where the digits are written as image files, if they are asked for.

    Raises:
        SettingsError: There is nothing at `data`.
        StepError: It holds no row at all.
    """
    table = _read(data, digits_folder)
    if not table.rows and not table.rejections:
        raise StepError(f"no image at all in {data}: expected label folders of images, or a CSV")
    return table


def _read(data: str, digits_folder: Path) -> Table:
    if data == DIGITS:
        from components.ingest.digits import write_digits

        write_digits(digits_folder)
        return _read_folder(digits_folder)
    path = Path(data)
    if path.is_dir():
        return _read_folder(path)
    if path.is_file():
        return _read_csv(path)
    raise SettingsError(f"data path {data} does not exist")


def _read_folder(folder: Path) -> Table:
    rows: list[Row] = []
    rejections: list[Rejection] = []
    for file in sorted(_files(folder)):
        name = file.relative_to(folder).as_posix()
        label_folders = name.split("/")[:-1]
        if label_folders:
            rows.append(Row(name, str(file), label_folders[0]))
        elif _IMAGE_NAME.search(file.name):
            detail = "stands beside the label folders, not in one"
            rejections.append(Rejection({"image": name}, Reason.NO_LABEL, detail))
    return Table(rows, rejections, {})


def _files(folder: Path) -> Iterator[Path]:
    """Files below a folder; those that systems leave behind, hidden, are not the user's rows."""
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name in ("Thumbs.db", "desktop.ini"):
            continue
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


def _read_csv(path: Path) -> Table:
    rejections: list[Rejection] = []
    complete: list[dict[str, str]] = []
    header: list[str] = []
    for number, fields in _csv_lines(path):
        if not header:
            header = _checked_header(path, fields)
            continue
        try:
            complete.append(_record(header, fields))
        except RejectedError as error:
            row = {"file": str(path), "line": number, "fields": fields}
            rejections.append(Rejection(row, error.reason, error.detail))
    extra = [name for name in header if name not in (IMAGE_COLUMN, LABEL_COLUMN)]
    columns = {name: _column_type(record[name] for record in complete) for name in extra}
    return Table([_row(record, columns, path.parent) for record in complete], rejections, columns)


def _csv_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for fields in reader:
                if fields:
                    yield reader.line_num, [field.strip() for field in fields]
    except UnicodeDecodeError as error:
        raise StepError(
            f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8"
        ) from None
    except csv.Error as error:
        raise StepError(f"{path} does not parse as CSV: {error}") from None


def _checked_header(path: Path, header: list[str]) -> list[str]:
    """The header, if `image` and `label` are in it and no name collides with our features."""
    for required in (IMAGE_COLUMN, LABEL_COLUMN):
        if required not in header:
            raise StepError(
                f"{path} has no column '{required}': its first line must name the columns, "
                "as in image,label,camera"
            )
    others = [name for name in header if name not in (IMAGE_COLUMN, LABEL_COLUMN)]
    taken = sorted(set(others) & set(FEATURE_TYPES))
    if taken:
        raise StepError(f"{path}: the column name '{taken[0]}' is used by Darkroom; rename it")
    if len(set(header)) < len(header) or "" in header:
        raise StepError(f"{path}: the first line names a column twice, or leaves a name empty")
    return header


def _record(header: list[str], fields: list[str]) -> dict[str, str]:
    if len(fields) < len(header):
        detail = f"{len(fields)} fields where the header names {len(header)}"
        raise RejectedError(Reason.TOO_FEW_COLUMNS, detail)
    record = dict(zip(header, fields, strict=False))
    if not record[LABEL_COLUMN]:
        raise RejectedError(Reason.NO_LABEL, "the label is empty")
    if not record[IMAGE_COLUMN]:
        raise RejectedError(Reason.MISSING_FILE, "the image path is empty")
    return record


def _column_type(values: Iterable[str]) -> str:
    """The narrowest of `int`, `float` and `bytes` that every value of a column fits."""
    remaining = ["int", "float", "bytes"]
    for value in values:
        while not _parses(value, remaining[0]):
            remaining.pop(0)
    return remaining[0]


def _parses(value: str, kind: str) -> bool:
    try:
        _PARSERS[kind](value)
    except ValueError:
        return False
    return True


_PARSERS = {"int": int, "float": float, "bytes": str}


def _row(record: dict[str, str], columns: dict[str, str], folder: Path) -> Row:
    image = record[IMAGE_COLUMN]
    location = image if "://" in image else str(folder / image)
    values: dict[str, ColumnValue] = {
        name: _PARSERS[kind](record[name]) for name, kind in columns.items()
    }
    return Row(image, location, record[LABEL_COLUMN], values)

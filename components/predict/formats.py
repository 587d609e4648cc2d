"""The forms that predictions are written in."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from components.predict.settings import Format
from darkroom.records.example_proto import serialized_example
from darkroom.records.tfrecord import write_record


@dataclasses.dataclass(frozen=True)
class Writer:
    """How a table becomes a file.

    Attributes:
        suffix: How the file's name ends, without the point.
        write: Writes a table to a path.
    """

    suffix: str
    write: Callable[[pa.Table, Path], None]


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a table as JSON has them, each without what it does not have."""
    rows: list[dict[str, Any]] = table.to_pylist()
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def as_json(row: dict[str, Any]) -> bytes:
    """A row as a line of JSON; what is not a number is null."""
    return orjson.dumps(row) + b"\n"


def _write_parquet(table: pa.Table, path: Path) -> None:
    pa.parquet.write_table(table, path, compression="zstd")


def _write_json_lines(table: pa.Table, path: Path) -> None:
    with path.open("wb") as file:
        file.writelines(map(as_json, rows_of(table)))


def _write_csv(table: pa.Table, path: Path) -> None:
    for place, field in enumerate(table.schema):
        if isinstance(field.type, pa.ListType | pa.FixedSizeListType):
            texts = [json.dumps(value, ensure_ascii=False) for value in table[place].to_pylist()]
            table = table.set_column(place, field.name, pa.array(texts, pa.string()))
    pa.csv.write_csv(table, path)


def _write_records(table: pa.Table, path: Path) -> None:
    with path.open("wb") as file:
        for row in rows_of(table):
            write_record(file, serialized_example(row))


WRITERS: dict[Format, Writer] = {
    "parquet": Writer("parquet", _write_parquet),
    "csv": Writer("csv", _write_csv),
    "jsonl": Writer("jsonl", _write_json_lines),
    "tfrecord": Writer("tfrecord", _write_records),
}

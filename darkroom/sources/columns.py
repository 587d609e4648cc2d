"""Types of a table's extra columns: the narrowest that loses nothing of any value.

An `int` fits 64 bits and a `float` is finite and fits 32, as `tf.train.Example` stores them; all
else is text (`bytes`), as are numbers whose spelling says that they are names, such as `007`.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Self

ColumnValue = str | int | float

TYPES = ("int", "float", "bytes")
_NO_VALUE, _INT, _FLOAT, _BYTES = range(-1, 3)
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_DECIMAL = re.compile(r"[+-]?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][+-]?[0-9]+)?")
_LARGEST_FLOAT = 3.4028234e38


class ColumnTypes:
    """Learns the types of columns cell by cell, so that no second copy of the cells is needed."""

    def __init__(self) -> None:
        self._ranks: dict[str, int] = {}

    def name(self, columns: Iterable[str]) -> None:
        """Notes columns, which may turn out to hold no value at all."""
        for name in columns:
            self._ranks.setdefault(name, _NO_VALUE)

    def add(self, cells: Mapping[str, ColumnValue], is_typed: bool) -> None:
        """Widens the columns' types until they fit a row's cells.

        Args:
            cells: Values by column.
            is_typed: Whether text is meant as text, as in JSON; a CSV's cells are all text.
        """
        ranks = self._ranks
        for name, value in cells.items():
            rank = ranks.get(name, _NO_VALUE)
            if rank < _BYTES:
                ranks[name] = max(rank, _rank(value, is_typed))

    def merge(self, other: "ColumnTypes") -> None:
        """Widens the types until they fit all cells that another learnt from, too."""
        for name, rank in other._ranks.items():
            self._ranks[name] = max(rank, self._ranks.get(name, _NO_VALUE))

    def copy(self) -> Self:
        """The types as they are now."""
        copied = type(self)()
        copied.merge(self)
        return copied

    def types(self) -> dict[str, str]:
        """Type by name of all columns; one without any value is text."""
        return {
            name: TYPES[_BYTES if rank == _NO_VALUE else rank] for name, rank in self._ranks.items()
        }


def _rank(value: ColumnValue, is_typed: bool) -> int:
    if isinstance(value, str):
        return _BYTES if is_typed else _rank_of_text(value)
    if isinstance(value, int):
        return _rank_of_int(value)
    return _rank_of_float(value)


def _rank_of_text(text: str) -> int:
    if _WHOLE.fullmatch(text):
        return _rank_of_int(int(text))
    if _DECIMAL.fullmatch(text):
        try:
            return _rank_of_float(float(text))
        except ValueError:
            pass
    return _BYTES


def _rank_of_int(value: int) -> int:
    return _INT if -(1 << 63) <= value < 1 << 63 else _BYTES


def _rank_of_float(value: float) -> int:
    return _FLOAT if abs(value) <= _LARGEST_FLOAT else _BYTES


def as_text(value: ColumnValue) -> str:
    """A value as text; numbers and truth values as JSON spells them."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def convert(rows: Iterable[dict[str, ColumnValue]], types: Mapping[str, str]) -> None:
    """Gives the cells of rows the types of their columns, in place."""
    for cells in rows:
        for name, value in cells.items():
            kind = types[name]
            if kind == "int":
                cells[name] = int(value)
            elif kind == "float":
                cells[name] = float(value)
            elif not isinstance(value, str):
                cells[name] = as_text(value)

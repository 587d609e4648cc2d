"""What to slice by: columns, and crosses of columns, as settings state them."""

from typing import Annotated

import pydantic

from darkroom.settings import Settings

Slicing = tuple[str, ...]
"""Columns to slice by at once."""


def _check_crosses(slices: tuple[str | Slicing, ...]) -> tuple[str | Slicing, ...]:
    for one in slices:
        if not isinstance(one, str) and (not one or len(set(one)) < len(one)):
            raise ValueError(f"a cross is a list of different columns, not {list(one)}")
    return slices


Slices = Annotated[tuple[str | Slicing, ...], pydantic.AfterValidator(_check_crosses)]


class SlicedSettings(Settings):
    """Settings that say what to slice by."""

    slices: Slices
    """Columns, and lists of columns, which are their cross."""

    @property
    def slicings(self) -> tuple[Slicing, ...]:
        """The columns to slice by at once, slicing by slicing."""
        return tuple((one,) if isinstance(one, str) else one for one in self.slices)

    @property
    def sliced_columns(self) -> tuple[str, ...]:
        """Every column that is sliced by, once."""
        return tuple(dict.fromkeys(name for columns in self.slicings for name in columns))

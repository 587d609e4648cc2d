"""What a photograph is sliced by: features of its example, and what follows from them."""

from collections.abc import Mapping
from typing import Any

from darkroom.artifacts.examples import HEIGHT, WIDTH

ORIENTATION = "orientation"
"""`portrait`, `landscape` or `square`, unless the input has a column of that name."""


def feature_value(example: Mapping[str, list[Any]], name: str) -> Any:
    """The value that a photograph is sliced by; None where it has none.

    Args:
        example: As `parsed_example` gives it.
        name: A feature, or `orientation`.
    """
    values = example.get(name, [])
    if not values:
        return _orientation(example) if name == ORIENTATION else None
    value: int | float | bytes = values[0]
    return feature_text(value) if isinstance(value, bytes) else value


def feature_text(value: bytes) -> str:
    """A feature's bytes as text, whatever they are."""
    return value.decode("utf-8", errors="replace")


def _orientation(example: Mapping[str, list[Any]]) -> str:
    height, width = example[HEIGHT][0], example[WIDTH][0]
    return "square" if height == width else "portrait" if height > width else "landscape"

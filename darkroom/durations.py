"""Durations as people write them in settings: `90m`, `12h`, `7d`."""

from typing import Annotated

import pydantic

Duration = Annotated[str, pydantic.Field(pattern=r"^[1-9]\d*[smhd]$")]
"""A number and `s`, `m`, `h` or `d`."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds(duration: str) -> int:
    """The seconds of a duration.

    >>> seconds("90m")
    5400
    """
    return int(duration[:-1]) * _SECONDS[duration[-1]]

"""Shares, means and numbers that JSON can write."""

import math
from collections.abc import Sequence
from typing import Any


def ratio(part: Any, whole: Any) -> float:
    """A share; 0 of nothing."""
    return float(part / whole) if whole else 0.0


def mean(values: Sequence[float]) -> float:
    """The mean of one value or more."""
    return sum(values) / len(values)


def json_number(value: float) -> float | None:
    """The number; None where it is none."""
    return float(value) if math.isfinite(value) else None

"""How a schedule that stands differs from the one that is wanted."""

import difflib
from typing import Literal

Change = Literal["created", "changed", "unchanged"]
"""What became of a schedule that was to be as the config says."""


def difference(standing: str, wanted: str) -> str:
    """Two texts' unified diff; "" if they are equal."""
    lines = difflib.unified_diff(
        standing.splitlines(), wanted.splitlines(), "scheduled", "config", lineterm="", n=2
    )
    return "\n".join(lines)

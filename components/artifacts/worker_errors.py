"""What a Beam worker's error says to people, under the words that Beam wraps it in."""

import re

from components.artifacts.errors import StepError


def worker_message(error: Exception) -> str | None:
    """The message of the StepError that a worker raised, which Beam wraps in its own words."""
    text = f"StepError: {error}" if isinstance(error, StepError) else str(error)
    found = re.findall(r"StepError: (.+?)(?: \[while running|$)", text, re.MULTILINE)
    return str(found[-1]) if found else None

"""What a Beam worker's error says to people, under the words that Beam wraps it in."""

import re

from darkroom.errors import DarkroomError


def worker_message(error: Exception) -> str | None:
    """The message of the error for people that a worker raised, wrapped in Beam's own words."""
    text = f"StepError: {error}" if isinstance(error, DarkroomError) else str(error)
    pattern = r"(?:Step|Settings)Error: (.+?)(?: \[while running|$)"
    found = re.findall(pattern, text, re.MULTILINE)
    return str(found[-1]) if found else None

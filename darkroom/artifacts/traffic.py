"""How requests are shared between the version that serves and a canary beside it."""

from pathlib import Path

from darkroom.artifacts.model_repository import Role, Version, find_versions
from darkroom.artifacts.push_log import last_entry


def find_canary(repository: str | Path) -> Version | None:
    """The complete version that gets a share of the requests; None without one."""
    return next(iter(find_versions(repository, Role.CANARY)), None)


def canary_traffic(repository: str | Path) -> int:
    """The share of requests that the canary gets, in percent; 0 without one.

    Raises:
        StepError: The push log cannot be read.
    """
    canary, entry = find_canary(repository), last_entry(str(repository))
    if canary is None or entry is None or entry.canary != canary.number:
        return 0
    return entry.traffic

"""How requests are shared between the version that serves and a canary beside it."""

from pathlib import Path

from darkroom.artifacts.model_repository import Role, Version, find_versions
from darkroom.artifacts.push_log import Entry


def find_canary(repository: str | Path) -> Version | None:
    """The complete version that gets a share of the requests; None without one."""
    return next(iter(find_versions(repository, Role.CANARY)), None)


def canary_traffic(canary: Version | None, last: Entry | None) -> int:
    """The share of requests that a canary gets, in percent; 0 without one.

    Args:
        canary: The canary.
        last: The newest entry of the push log.
    """
    if canary is None or last is None or last.canary != canary.number:
        return 0
    return last.traffic

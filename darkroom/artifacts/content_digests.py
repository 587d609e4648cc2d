"""What lies at the paths that settings name, told by content: a changed file is another file."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from darkroom.artifacts.manifest import MANIFEST, folder_digest

_WRITTEN = frozenset({"destination", "checkpoints"})
"""Settings that name where a step writes, not what it reads."""


def named_files(settings: Any, key: str = "") -> Iterator[tuple[str, Path]]:
    """The files and folders here that settings name, by dotted key.

    Which settings are paths is not listed anywhere: a list that misses one would be found out by
    a stale result. A plain word counts as a folder only where an artifact has that name.

    Args:
        settings: JSON values.
        key: Dotted key of these settings.
    """
    if isinstance(settings, Mapping):
        for name, value in settings.items():
            if name not in _WRITTEN:
                yield from named_files(value, f"{key}.{name}" if key else str(name))
    elif isinstance(settings, list | tuple):
        for number, value in enumerate(settings):
            yield from named_files(value, f"{key}.{number}")
    elif isinstance(settings, str) and _is_here(settings):
        yield key, Path(settings)


def content_digest(path: Path) -> str:
    """SHA-256 of a file's content; of a folder, what its manifest says, or of all its files."""
    if path.is_dir():
        return artifact_digest(path) or folder_digest(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def artifact_digest(folder: Path) -> str | None:
    """The digest in an artifact's manifest; None where there is none."""
    try:
        digest = json.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("digest")
    except (OSError, ValueError, AttributeError):
        return None
    return digest if isinstance(digest, str) else None


def _is_here(name: str) -> bool:
    try:
        path = Path(name)
        return path.is_file() or (
            path.is_dir() and ("/" in name.rstrip("/") or (path / MANIFEST).is_file())
        )
    except (OSError, ValueError):  # too long for a path, or no text for one
        return False

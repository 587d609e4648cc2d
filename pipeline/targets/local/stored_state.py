"""Whether cached artifacts are what they were: by size and time or, if in doubt, by content."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from darkroom.artifacts.data_root import records_stand
from darkroom.artifacts.manifest import MANIFEST, folder_digest


@dataclasses.dataclass(frozen=True)
class StoredState:
    """What is known of an artifact's files.

    Attributes:
        quick: Digest of each file's name, size, time and inode; it costs no reading.
        content: Digest of all content.
    """

    quick: str
    content: str

    @classmethod
    def of(cls, path: Path) -> "StoredState":
        """The state of a file or folder as it is now."""
        return cls(_quick(path), _content(path))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "StoredState":
        """The state that an entry of the cache holds."""
        return cls(str(values["quick"]), str(values["content"]))

    def stands(self, path: Path) -> bool:
        """Whether the content is the same; it is read only where a file was touched."""
        stands = path.exists() and (_quick(path) == self.quick or _content(path) == self.content)
        return stands and records_stand(path)


def _quick(path: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted([path, *path.rglob("*")]):
        if file.is_file():
            found = file.stat()
            name = file.relative_to(path).as_posix()
            digest.update(
                f"{name} {found.st_size} {found.st_mtime_ns} {found.st_ino}\n".encode(
                    "utf-8", "replace"
                )
            )
    return digest.hexdigest()


def _content(path: Path) -> str:
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256(folder_digest(path).encode())
    # The digest of a folder leaves its manifest out, which holds it.
    if (path / MANIFEST).is_file():
        digest.update((path / MANIFEST).read_bytes())
    return digest.hexdigest()

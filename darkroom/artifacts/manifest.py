"""The manifest of an artifact, written last: a folder without one is not read.

It holds the digest of the artifact's files, which caches and provenance compare.
"""

import contextlib
import contextvars
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from darkroom.errors import StepError
from darkroom.storage.atomic import atomic_folder, write_json

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
PROVENANCE = "provenance"
"""The manifest's entry of how the artifact was made."""
CURRENT_PROVENANCE: contextvars.ContextVar[Mapping[str, Any] | None] = contextvars.ContextVar(
    "darkroom_provenance", default=None
)
"""That entry, while a step runs; `darkroom.artifacts.provenance` sets it."""

README = "README.md"
"""The model card of a pushed version, where Hugging Face's hub looks for it."""
ADDED_BY_PUSH = ("proof", "reference", "assets.extra", README)
"""Folders and files that a pushed version has beside the model's own."""

_LAST = ("saved_model.pb", MANIFEST)
"""Files that a model server, or our own readers, take for the sign that a folder is complete."""


def atomic_artifact(
    artifact: Path, replace: bool = True, durable: bool = False
) -> contextlib.AbstractContextManager[Path]:
    """Gives a folder to write an artifact in, as `darkroom.storage.atomic.atomic_folder`.

    Args:
        artifact: Where the finished artifact is to be.
        replace: Whether it takes the place of one that is there by then.
        durable: Whether its bytes are on the disk before it has its name.
    """
    return atomic_folder(artifact, replace, durable, _LAST)


def write_manifest(folder: Path, kind: str, content: Mapping[str, Any]) -> None:
    """Writes a folder's manifest, last of all its files: without it no reader takes the folder.

    Args:
        folder: The artifact's folder.
        kind: What the artifact is, such as `examples`.
        content: Counts, settings and the like; JSON values. Where it has no `digest`, that of the
            folder's files is added, and within a step how it was made.
    """
    document = {"kind": kind, "format_version": FORMAT_VERSION, **content}
    if "digest" not in document:
        document["digest"] = folder_digest(folder)
    if (made := CURRENT_PROVENANCE.get()) is not None:
        document[PROVENANCE] = made
    write_json(folder / MANIFEST, document)


def read_manifest(folder: Path, kind: str) -> dict[str, Any]:
    """Reads the manifest of an artifact.

    Raises:
        StepError: The folder is missing, is not complete, is of another kind or of a format
            version that this release cannot read.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        missing = (
            "has no manifest.json (it is not complete)" if folder.is_dir() else "does not exist"
        )
        raise StepError(f"the {kind} artifact {folder} {missing}") from None
    except OSError as error:
        raise StepError(f"cannot read the manifest of {folder}: {error}") from None
    return parse_manifest(content, str(folder), kind)


def parse_manifest(content: bytes, folder: str, kind: str) -> dict[str, Any]:
    """Reads a manifest's content.

    Args:
        content: The file's.
        folder: The artifact's path or URI, for messages.
        kind: What the artifact must be.

    Raises:
        StepError: It is of another kind or of a format version that this release cannot read.
    """
    try:
        document: dict[str, Any] = json.loads(content)
    except ValueError as error:
        raise StepError(f"cannot read the manifest of {folder}: {error}") from None
    if document.get("kind") != kind:
        raise StepError(f"{folder} holds {document.get('kind')}, not {kind}")
    if document.get("format_version") != FORMAT_VERSION:
        raise StepError(
            f"{folder} has format version {document.get('format_version')}; "
            f"this release reads {FORMAT_VERSION}: make it again"
        )
    return document


def folder_digest(folder: Path, pattern: str = "*") -> str:
    """SHA-256 over the names and contents of all files below a folder but its manifest.

    What push adds to a model is left out too: a pushed model has the digest of the model.

    Args:
        folder: The folder.
        pattern: What the names of the files look like.
    """
    manifest = folder / MANIFEST
    added = tuple(folder / name for name in ADDED_BY_PUSH)
    paths = sorted(
        path
        for path in folder.rglob(pattern)
        if path.is_file() and path != manifest and not any(map(path.is_relative_to, added))
    )
    names = (path.relative_to(folder).as_posix() for path in paths)
    # On all cores: Python's lock is free while a file is read and hashed.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return digest_of(dict(zip(names, threads.map(file_digest, paths), strict=True)))


def digest_of(files: Mapping[str, str]) -> str:
    """SHA-256 over the names of files and the SHA-256 of each, as `folder_digest` gives it.

    Args:
        files: The digests by path within the folder.
    """
    digest = hashlib.sha256()
    for name in sorted(files, key=lambda name: Path(name).parts):
        # A file's name may be no text.
        digest.update(os.fsencode(name) + f"\0{files[name]}\n".encode())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_WRITTEN = frozenset(
    {"checkpoints", "data_root", "destination", "dataset", "samples", "state", "versions"}
)
"""Settings that name where a step writes, or what others write all the time: no digest of it says
what a step has read."""


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

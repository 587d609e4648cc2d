"""Whole or absent: artifacts are written aside, then renamed, with a manifest that ends them."""

import contextlib
import contextvars
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from components.artifacts.errors import StepError

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MADE = "made"
"""The manifest's entry of how the artifact came about."""
MAKING: contextvars.ContextVar[Mapping[str, Any] | None] = contextvars.ContextVar(
    "darkroom_making", default=None
)
"""That entry, while a step runs; `components.artifacts.provenance` sets it."""

_CANNOT_RENAME_FOLDERS = (errno.EMFILE, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV)
"""What a bucket mounted as a folder answers, as on Vertex; gcsfuse says EMFILE."""
_LAST = {"saved_model.pb": 1, MANIFEST: 2}
"""Files that a model server, or our own readers, take for the sign that a folder is whole."""


@contextlib.contextmanager
def written_aside(artifact: Path, replace: bool = True) -> Iterator[Path]:
    """Gives a folder to write an artifact in, which takes the artifact's name when all is done.

    On an error the folder is removed, and whatever stood at `artifact` before stays.

    Args:
        artifact: Where the finished artifact is to stand.
        replace: Whether it takes the place of one that stands there by then.

    Yields:
        An empty folder beside it, on the same file system.

    Raises:
        StepError: The folder cannot be written, or stands already and is not to be replaced.
    """
    aside = artifact.with_name(f".{artifact.name}.partial-{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        yield aside
        if replace and artifact.exists():
            shutil.rmtree(artifact)
        _give_name(aside, artifact)
    except OSError as error:
        raise StepError(f"cannot write {artifact}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _give_name(aside: Path, artifact: Path) -> None:
    try:
        aside.rename(artifact)
    except OSError as error:
        if error.errno not in _CANNOT_RENAME_FOLDERS:
            raise
        # File by file then, so ordered that what readers go by comes last.
        for source in sorted(aside.rglob("*"), key=lambda path: _LAST.get(path.name, 0)):
            if source.is_file():
                target = artifact / source.relative_to(aside)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)


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
    if (made := MAKING.get()) is not None:
        document[MADE] = made
    write_json(folder / MANIFEST, document)


def read_manifest(folder: Path, kind: str) -> dict[str, Any]:
    """Reads the manifest of an artifact.

    Raises:
        StepError: The folder is missing, is not whole, is of another kind or of a format
            version that this release cannot read.
    """
    try:
        document: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        missing = "has no manifest.json (it is not whole)" if folder.is_dir() else "does not exist"
        raise StepError(f"the {kind} artifact {folder} {missing}") from None
    except (OSError, ValueError) as error:
        raise StepError(f"cannot read the manifest of {folder}: {error}") from None
    if document.get("kind") != kind:
        raise StepError(f"{folder} holds {document.get('kind')}, not {kind}")
    if document.get("format_version") != FORMAT_VERSION:
        raise StepError(
            f"{folder} has format version {document.get('format_version')}; "
            f"this release reads {FORMAT_VERSION}: make it again"
        )
    return document


def write_json(path: Path, document: Any) -> None:
    """Writes JSON that never stands half-written under its name."""
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file that never stands half-written under its name."""
    aside = path.with_name(f".{path.name}.partial-{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def folder_digest(folder: Path, pattern: str = "*") -> str:
    """SHA-256 over the names and contents of all files below a folder but its manifest.

    Args:
        folder: The folder.
        pattern: What the names of the files look like.
    """
    manifest = folder / MANIFEST
    paths = sorted(path for path in folder.rglob(pattern) if path.is_file() and path != manifest)
    digest = hashlib.sha256()
    # On all cores: Python's lock is free while a file is read and hashed.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for path, content in zip(paths, threads.map(_file_digest, paths), strict=True):
            digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

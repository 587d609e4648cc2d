"""Atomic writes: a file or folder is complete under its name, or it is not there."""

import contextlib
import errno
import json
import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from darkroom.errors import StepError

_PARTIAL = ".partial-"
_CANNOT_RENAME_FOLDERS = (
    errno.EMFILE,
    errno.ENOTSUP,
    errno.ENOSYS,
    errno.EXDEV,
    errno.EPERM,
    errno.EINVAL,
)
"""What a bucket mounted as a folder answers, as on Vertex; gcsfuse says EMFILE."""
_CANNOT_LINK = (errno.ENOTSUP, errno.ENOSYS, errno.EPERM, errno.EMLINK, errno.EXDEV)
"""What it answers to a second name for a file."""


def os_reason(error: OSError) -> str:
    """What an operating-system error says, in a few words."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        # Of all files that could not be copied the first: (source, target, text).
        text = str(error.args[0][0][-1]) if error.args[0] else str(error)
        return re.sub(r"^\[Errno \d+\] |: '.*$", "", text)
    return error.strerror or str(error)


def is_disk_full(error: OSError) -> bool:
    """Whether there is no room left, for anybody or for this user."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return isinstance(error, shutil.Error) and os.strerror(errno.ENOSPC) in str(error)


def check_writable(folder: Path) -> None:
    """Tries whether files could be written to a folder, which need not exist yet; leaves none.

    Raises:
        OSError: They could not.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    with tempfile.TemporaryFile(dir=there):
        pass


def temporary_name(path: Path) -> Path:
    """A name beside a path that no other writer has, on this machine or another.

    It ends as the path does, since some writers go by that.
    """
    # A process number is not enough: containers that share a folder have the same ones.
    return path.with_name(f"{_PARTIAL}{uuid.uuid4().hex}-{path.name}")


def remove_temporary(folder: Path, older_than: float = 0.0) -> None:
    """Removes what killed writers have left below a folder.

    Args:
        folder: A folder that nobody writes any more, or only for a shorter time.
        older_than: Seconds since the last change of what is removed.
    """
    before = time.time() - older_than
    # Path.rglob fails at a folder that another writer renames or removes meanwhile.
    found = [
        Path(parent, name)
        for parent, folders, files in os.walk(folder)
        for name in (*folders, *files)
        if name.startswith(_PARTIAL)
    ]
    for path in found:
        with contextlib.suppress(FileNotFoundError):
            if older_than and path.stat().st_mtime > before:
                continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Gives a name to write a file under, which takes the file's own name when all is done.

    Its bytes are on the disk before it has that name, so that it is complete after a power
    failure too. On an error what was at `path` before stays.

    Yields:
        A path beside it, on the same file system.
    """
    temporary = temporary_name(path)
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(
    path: Path, replace: bool = True, durable: bool = False, last: Sequence[str] = ()
) -> Iterator[Path]:
    """Gives a folder to write in, which takes the artifact's name when all is done.

    On an error it is removed, and whatever was at `path` before stays.

    Args:
        path: Where the finished folder is to be.
        replace: Whether it takes the place of one that is there by then.
        durable: Whether its bytes are on the disk before it has its name.
        last: Names of files that readers take for the sign that the folder is complete, in
            order: they come last where a file system cannot rename folders.

    Yields:
        An empty folder beside it, on the same file system.

    Raises:
        StepError: The folder cannot be written, or exists and is not to be replaced.
    """
    temporary = temporary_name(path)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if durable:
            for file in temporary.rglob("*"):
                _sync(file)
        if replace and path.exists():
            shutil.rmtree(path)
        _rename_folder(temporary, path, last)
    except OSError as error:
        raise StepError(f"cannot write {path}: {os_reason(error)}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: Path, document: Any) -> None:
    """Writes JSON atomically."""
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file atomically."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def create_file(path: Path, content: bytes) -> bool:
    """Writes a file atomically where there is none; of several writers, one does.

    Returns:
        Whether it was written; False where one is there.
    """
    temporary = temporary_name(path)
    try:
        temporary.write_bytes(content)
        _sync(temporary)
        # Unlike a lock, a link is atomic on network file systems too.
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        return _create_exclusively(path, content)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _create_exclusively(path: Path, content: bytes) -> bool:
    """The same on a mounted bucket, which shows a file only once it is closed."""
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True


def move_folder(source: Path, target: Path, last: Sequence[str] = ()) -> None:
    """Gives a folder another name; file by file where a file system cannot rename folders.

    Args:
        source: The folder.
        target: Its new name, which nothing has but a part of the same folder, where it was cut off.
        last: Names of files that readers take for the sign that a folder is complete, in order:
            they are the last to come and the first to go.

    Raises:
        OSError: It cannot be renamed.
    """
    if target.exists():
        _copy_folder(source, target, last)
    elif _rename_folder(source, target, last):
        return
    for name in reversed(last):
        (source / name).unlink(missing_ok=True)
    shutil.rmtree(source)


def _rename_folder(source: Path, target: Path, last: Sequence[str]) -> bool:
    """Renames a folder; False where it was copied instead, and is still there."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno not in _CANNOT_RENAME_FOLDERS:
            raise
    else:
        return True
    _copy_folder(source, target, last)
    return False


def _copy_folder(source: Path, target: Path, last: Sequence[str]) -> None:
    """Copies file by file, so ordered that what readers go by comes last, and comes whole."""
    # One that was killed in the middle of a file has left it there, under another name.
    remove_temporary(target)
    order = {name: number for number, name in enumerate(last, 1)}
    for file in sorted(source.rglob("*"), key=lambda path: order.get(path.name, 0)):
        if file.is_file():
            copy = target / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(copy) as temporary:
                shutil.copyfile(file, temporary)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # Some mounted buckets have no such call, and need none.
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)

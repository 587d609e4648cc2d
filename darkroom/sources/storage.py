"""Reading where the data is: local paths as they are, URIs through `darkroom.storage`."""

import glob
import io
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from darkroom.artifacts.rejected import Reason, RejectedError
from darkroom.errors import SettingsError
from darkroom.storage import files
from darkroom.storage.files import (
    StoredFile,
    cause,
    clear_errors,
    download,
    list_files,
    list_level,
    read_bytes,
)
from darkroom.storage.paths import is_uri

_MOST_BYTES = 1 << 30
"""The largest file that is read."""
_PIECE = 1 << 16


def local_files(pattern: str) -> list[str]:
    """The file of that name, or those that a glob matches, sorted."""
    if Path(pattern).exists():
        return [pattern]
    # Path.glob would split an absolute pattern first.
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207


def listed_files(pattern: str) -> list[StoredFile]:
    """The files that a pattern matches, each with its size and the time it was last written.

    Args:
        pattern: A URI; `*` matches within a folder, `**` below it at any depth.

    Raises:
        SettingsError: The bucket does not exist, or may not be listed.
    """
    with clear_errors(f"cannot read {pattern}", SettingsError):
        return list_files(pattern)


def listed_level(folder: str) -> tuple[list[str], list[str]]:
    """The names of the folders, and of the files, that are directly in a folder, sorted.

    Args:
        folder: A URI.

    Raises:
        SettingsError: The bucket does not exist, or may not be listed.
    """
    with clear_errors(f"cannot read {folder}", SettingsError):
        return list_level(folder)


@contextmanager
def opened(location: str) -> Iterator[IO[bytes]]:
    """Opens a local path or a URI for reading.

    Raises:
        SettingsError: It does not exist, or may not be read.
    """
    path = Path(location)
    with ExitStack() as stack:
        with clear_errors(f"cannot read {location}", SettingsError):
            if is_uri(location):
                # Fetched whole, so that a connection lost half-way is this error too.
                folder = Path(tempfile.mkdtemp())
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
                (path,) = download([location], folder)
            file = stack.enter_context(path.open("rb"))
        yield file


@contextmanager
def opened_lines(location: str, begin: int, end: int | None) -> Iterator[IO[bytes]]:
    """Opens the lines that begin in a range of a file, at a local path or a URI.

    Args:
        location: The file.
        begin: The range's first byte.
        end: The byte after its last one; None for the file's end.

    Raises:
        SettingsError: It does not exist, or may not be read.
    """
    with clear_errors(f"cannot read {location}", SettingsError), files.opened(location) as file:
        last = None if end is None else _line_from(file, end)
        first = _line_from(file, begin)
        file.seek(first)
        yield io.BufferedReader(_Range(file, None if last is None else last - first))


def _line_from(file: IO[bytes], position: int) -> int:
    """Where the first line begins that does so at a place or after it."""
    if not position:
        return 0
    begin = position - 1
    file.seek(begin)
    while piece := file.read(_PIECE):
        end = piece.find(b"\n")
        if end >= 0:
            return begin + end + 1
        begin += len(piece)
    return begin


class _Range(io.RawIOBase):
    """So many bytes of an open file, from where it stands."""

    def __init__(self, file: IO[bytes], count: int | None) -> None:
        self._file = file
        self._left = count

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        most = len(buffer) if self._left is None else min(len(buffer), self._left)
        piece = self._file.read(most)
        buffer[: len(piece)] = piece
        if self._left is not None:
            self._left -= len(piece)
        return len(piece)


def read_file(location: str) -> bytes:
    """The bytes at a path or URI.

    Raises:
        RejectedError: There is no such file, or it cannot be read.
    """
    try:
        return read_bytes(location) if is_uri(location) else _read_regular(Path(location))
    except RejectedError:
        raise
    except FileNotFoundError:
        raise RejectedError(Reason.MISSING_FILE, "no such file") from None
    except (OSError, ValueError) as error:
        raise RejectedError(Reason.UNREADABLE_FILE, str(error)) from None
    except Exception as error:
        # Every store's client has exceptions of its own, of no common type.
        raise RejectedError(Reason.UNREADABLE_FILE, cause(error)) from None


def _read_regular(path: Path) -> bytes:
    """The bytes of a regular file: a pipe would never end, a device would fill the memory."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise RejectedError(Reason.UNREADABLE_FILE, "no regular file")
    if status.st_size > _MOST_BYTES:
        detail = f"{status.st_size:,} bytes, more than {_MOST_BYTES:,}"
        raise RejectedError(Reason.UNREADABLE_FILE, detail)
    return path.read_bytes()

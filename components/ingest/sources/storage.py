"""Reading where the data is: local paths as they are, URIs through `darkroom.storage`."""

import glob
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from darkroom.artifacts.rejected import Reason, RejectedError
from darkroom.errors import SettingsError
from darkroom.storage.files import (
    StoredFile,
    cause,
    clear_errors,
    download,
    list_files,
    read_bytes,
)
from darkroom.storage.paths import is_uri

_MOST_BYTES = 1 << 30
"""The largest file that is read."""


def local_files(pattern: str) -> list[str]:
    """The file of that name, or those that a glob matches, sorted."""
    if Path(pattern).exists():
        return [pattern]
    # Path.glob would split an absolute pattern first.
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207


def matching_files(pattern: str) -> list[str]:
    """The URIs of the files that a pattern matches, sorted.

    Args:
        pattern: A URI; `*` matches within a folder, `**` below it at any depth.

    Raises:
        SettingsError: The bucket does not exist, or may not be listed.
    """
    return [file.location for file in listed_files(pattern)]


def listed_files(pattern: str) -> list[StoredFile]:
    """The files that a pattern matches, each with its size and the time it was last written.

    Args:
        pattern: As `matching_files` takes it.

    Raises:
        SettingsError: The bucket does not exist, or may not be listed.
    """
    with clear_errors(f"cannot read {pattern}", SettingsError):
        return list_files(pattern)


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


def read_file(location: str) -> bytes:
    """The bytes at a path or URI.

    Raises:
        RejectedError: There is no such file, or it cannot be read.
    """
    try:
        return read_bytes(location) if is_uri(location) else _read_regular(Path(location))
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

"""Files of any place that Beam's file systems reach: a bucket, a cluster's, or this machine's."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from darkroom.errors import DarkroomError

CHUNK_BYTES = 4 * 2**20
"""Bytes that are copied at once."""


def copy_from(location: str, target: IO[bytes]) -> None:
    """Copies the content of a file anywhere, as it is, to an open file here."""
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    with FileSystems.open(location, compression_type=CompressionTypes.UNCOMPRESSED) as source:
        shutil.copyfileobj(source, target, CHUNK_BYTES)


def copy_to(location: str, source: Path) -> None:
    """Copies a file from here to anywhere; what stands there already is replaced."""
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    with (
        source.open("rb") as file,
        FileSystems.create(location, compression_type=CompressionTypes.UNCOMPRESSED) as target,
    ):
        shutil.copyfileobj(file, target, CHUNK_BYTES)


@contextmanager
def clear_errors(what: str, kind: type[DarkroomError]) -> Iterator[None]:
    """One line for every way a file system may fail; each client has exceptions of its own.

    Args:
        what: What fails, such as `cannot read gs://bucket/flowers.csv`.
        kind: The error to raise.
    """
    retries = logging.getLogger("apache_beam.utils.retry")
    level = retries.level
    # It logs a traceback for each of its retries, which would bury the one line that matters.
    retries.setLevel(logging.ERROR)
    try:
        yield
    except Exception as error:
        raise kind(f"{what}: {cause(error)}") from error
    finally:
        retries.setLevel(level)


def cause(error: Exception) -> str:
    """What an error says at its core, in one line."""
    # Beam wraps a client's own error, and that again, in errors that only list others.
    while details := getattr(error, "exception_details", None):
        error = next(iter(details.values()))
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__

"""Reading where the data lies: local paths as they are, URIs through Beam's file systems."""

import glob
import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from components.artifacts.beam_options import beam_arguments
from components.artifacts.errors import SettingsError

if TYPE_CHECKING:
    from apache_beam.io.filesystem import FileMetadata


def is_uri(path: str) -> bool:
    """Whether a path is for Beam's file systems, such as `gs://bucket/flowers`."""
    return "://" in path


def use_options(beam_options: Sequence[str]) -> None:
    """Gives Beam's file systems the options for Beam, such as a region, outside a pipeline too."""
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions

    FileSystems.set_options(PipelineOptions(beam_arguments(beam_options)))


def local_files(pattern: str) -> list[str]:
    """The file of that name, or those that a glob matches, sorted."""
    if Path(pattern).exists():
        return [pattern]
    # Path.glob would take an absolute pattern apart first.
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207


def matching_files(pattern: str) -> list[str]:
    """The URIs of the files that a pattern matches, sorted.

    Args:
        pattern: A URI; `*` matches within a folder, `**` below it at any depth.

    Raises:
        SettingsError: The bucket does not exist, or may not be listed.
    """
    return sorted(file.path for file in listed_files(pattern))


def listed_files(pattern: str) -> "list[FileMetadata]":
    """The files that a pattern matches, each with its size and the time it was last written.

    Args:
        pattern: As `matching_files` takes it.

    Raises:
        SettingsError: The bucket does not exist, or may not be listed.
    """
    from apache_beam.io.filesystems import FileSystems

    with _clear_errors(pattern):
        (result,) = FileSystems.match([pattern])
        return list(result.metadata_list)


@contextmanager
def opened(location: str) -> Iterator[IO[bytes]]:
    """Opens a local path or a URI for reading.

    Raises:
        SettingsError: It does not exist, or may not be read.
    """
    file: IO[bytes]
    with ExitStack() as stack:
        with _clear_errors(location):
            if is_uri(location):
                # Fetched whole, so that a connection lost half-way is this error too.
                file = stack.enter_context(tempfile.TemporaryFile())
                _fetch(location, file)
            else:
                file = stack.enter_context(Path(location).open("rb"))
        yield file


def _fetch(uri: str, target: IO[bytes]) -> None:
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    with FileSystems.open(uri, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        shutil.copyfileobj(file, target)
    target.seek(0)


@contextmanager
def _clear_errors(location: str) -> Iterator[None]:
    """One line for every way a file system may fail; each client has exceptions of its own."""
    retries = logging.getLogger("apache_beam.utils.retry")
    level = retries.level
    # It logs a traceback for each of its retries, which would bury the one line that matters.
    retries.setLevel(logging.ERROR)
    try:
        yield
    except Exception as error:
        raise SettingsError(f"cannot read {location}: {_cause(error)}") from error
    finally:
        retries.setLevel(level)


def _cause(error: Exception) -> str:
    # Beam wraps a client's own error, and that again, in errors that only list others.
    while details := getattr(error, "exception_details", None):
        error = next(iter(details.values()))
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__

"""Reading where the data lies: local paths as they are, URIs through Beam's file systems."""

import glob
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from darkroom.beam.filesystems import clear_errors, copy_from
from darkroom.beam.options import beam_arguments
from darkroom.errors import SettingsError
from darkroom.storage.paths import is_uri

if TYPE_CHECKING:
    from apache_beam.io.filesystem import FileMetadata

__all__ = ["listed_files", "local_files", "matching_files", "opened", "use_options"]


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

    with clear_errors(f"cannot read {pattern}", SettingsError):
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
        with clear_errors(f"cannot read {location}", SettingsError):
            if is_uri(location):
                # Fetched whole, so that a connection lost half-way is this error too.
                file = stack.enter_context(tempfile.TemporaryFile())
                copy_from(location, file)
                file.seek(0)
            else:
                file = stack.enter_context(Path(location).open("rb"))
        yield file

"""Small objects that several machines share, and that only one of them can create."""

import contextlib
import glob
from collections.abc import Sequence

from darkroom.errors import SettingsError, StepError
from darkroom.storage import files
from darkroom.storage.paths import is_uri

_SCHEMES = ("gs://", "s3://")


class Store:
    """A folder of objects, each created once and never changed.

    Args:
        location: A folder of a file system, or of a bucket: `gs://bucket/folder`, `s3://...`.

    Raises:
        SettingsError: Nothing is known of such places.
    """

    def __init__(self, location: str) -> None:
        if is_uri(location) and not location.startswith(_SCHEMES):
            raise SettingsError(
                f"setting 'trigger.state': {location}: expected gs://, s3:// or a folder"
            )
        self._folder = location.rstrip("/")

    def create(self, name: str, content: bytes) -> bool:
        """Creates an object, complete or not at all; False if it is there already."""
        with self._clear_errors("write to"):
            return files.create(f"{self._folder}/{name}", content)

    def read(self, name: str) -> bytes | None:
        """An object's content; None if it is not there."""
        with self._clear_errors("read"), contextlib.suppress(FileNotFoundError):
            return files.read_bytes(f"{self._folder}/{name}")
        return None

    def names(self) -> Sequence[str]:
        """The names of all objects."""
        with self._clear_errors("read"):
            found = files.list_files(f"{glob.escape(self._folder)}/*")
        names = [file.location.rpartition("/")[2] for file in found]
        return [name for name in names if not name.startswith(".")]

    def delete(self, name: str) -> None:
        """Removes an object, if it is there."""
        with self._clear_errors("delete from"), contextlib.suppress(FileNotFoundError):
            files.delete([f"{self._folder}/{name}"])

    def _clear_errors(self, what: str) -> contextlib.AbstractContextManager[None]:
        return files.clear_errors(f"cannot {what} {self._folder}", StepError)

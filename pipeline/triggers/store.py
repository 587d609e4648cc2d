"""Small objects that several machines share, and that only one of them can create."""

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from darkroom.errors import SettingsError, StepError
from darkroom.storage.atomic import create_file

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


class Store(Protocol):
    """A folder of objects, each created once and never changed."""

    def create(self, name: str, content: bytes) -> bool:
        """Creates an object, whole or not at all; False if it is there already."""

    def read(self, name: str) -> bytes | None:
        """An object's content; None if it is not there."""

    def names(self) -> Sequence[str]:
        """The names of all objects."""

    def delete(self, name: str) -> None:
        """Removes an object, if it is there."""


def store_at(location: str) -> Store:
    """The store of a folder.

    Args:
        location: `gs://bucket/folder`, or a folder of a file system.

    Raises:
        SettingsError: Nothing is known of such places.
    """
    if location.startswith("gs://"):
        bucket, _, folder = location.removeprefix("gs://").partition("/")
        return BucketStore(bucket, folder.rstrip("/"))
    if "://" in location:
        raise SettingsError(f"setting 'trigger.state': {location}: expected gs:// or a folder")
    return FolderStore(Path(location))


class FolderStore:
    """Objects as files.

    Args:
        folder: Where they are; made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self, name: str, content: bytes) -> bool:
        """Links a whole file to its name, which fails if the name is taken."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return create_file(self._folder / name, content)

    def read(self, name: str) -> bytes | None:
        """An object's content; None if it is not there."""
        with contextlib.suppress(FileNotFoundError):
            return (self._folder / name).read_bytes()
        return None

    def names(self) -> Sequence[str]:
        """The names of all objects."""
        if not self._folder.is_dir():
            return []
        return [path.name for path in self._folder.iterdir() if _NAME.fullmatch(path.name)]

    def delete(self, name: str) -> None:
        """Removes an object, if it is there."""
        (self._folder / name).unlink(missing_ok=True)


class BucketStore:
    """Objects in a bucket of Google Cloud Storage.

    Args:
        bucket: The bucket's name.
        folder: The folder in it.
    """

    def __init__(self, bucket: str, folder: str) -> None:
        self._bucket_name = bucket
        self._prefix = f"{folder}/" if folder else ""
        self._bucket_client: Any = None

    def create(self, name: str, content: bytes) -> bool:
        """Uploads on the condition that there is no such object."""
        from google.api_core.exceptions import PreconditionFailed

        blob = self._bucket.blob(self._prefix + name)
        try:
            with self._explained():
                blob.upload_from_string(content, if_generation_match=0)
        except PreconditionFailed:
            # It may be our own: an upload whose answer was lost is sent again by the library.
            return False
        return True

    def read(self, name: str) -> bytes | None:
        """An object's content; None if it is not there."""
        from google.api_core.exceptions import NotFound

        with self._explained(), contextlib.suppress(NotFound):
            return bytes(self._bucket.blob(self._prefix + name).download_as_bytes())
        return None

    def names(self) -> Sequence[str]:
        """The names of all objects."""
        with self._explained():
            blobs = self._bucket.list_blobs(prefix=self._prefix, delimiter="/")
            return [blob.name.removeprefix(self._prefix) for blob in blobs]

    def delete(self, name: str) -> None:
        """Removes an object, if it is there."""
        from google.api_core.exceptions import NotFound

        with self._explained(), contextlib.suppress(NotFound):
            self._bucket.blob(self._prefix + name).delete()

    @property
    def _bucket(self) -> Any:
        if self._bucket_client is None:
            from google.cloud import storage

            with self._explained():
                self._bucket_client = storage.Client().bucket(self._bucket_name)
        return self._bucket_client

    @contextlib.contextmanager
    def _explained(self) -> Any:
        from google.api_core.exceptions import Forbidden, GoogleAPICallError, PreconditionFailed
        from google.auth.exceptions import GoogleAuthError

        place = f"gs://{self._bucket_name}/{self._prefix}"
        try:
            yield
        except PreconditionFailed:
            raise
        except Forbidden:
            raise StepError(
                f"{place}: no permission: the trigger's service account needs "
                "roles/storage.objectUser on the bucket"
            ) from None
        except (GoogleAPICallError, GoogleAuthError, OSError) as error:
            raise StepError(f"{place}: {str(error).splitlines()[0]}") from None

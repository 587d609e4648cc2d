"""A bucket that other processes reach too, which Beam's file systems find by `disk://`.

Its objects are files below the folder that the environment names: no path of theirs can be opened
by mistake, since paths of the bucket are none of this machine.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apache_beam.io.filesystem import FileMetadata
from apache_beam.io.localfilesystem import LocalFileSystem

ROOT = "DARKROOM_TEST_DISK_BUCKET"
_SCHEME = "disk://"


def file_of(uri: str) -> Path:
    """The file that holds an object."""
    assert uri.startswith(_SCHEME), uri
    return Path(os.environ[ROOT]) / uri.removeprefix(_SCHEME)


class DiskBucket(LocalFileSystem):  # type: ignore[misc]
    """Beam's file system interface over it."""

    @classmethod
    def scheme(cls) -> str:
        return "disk"

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def _url_dirname(self, url_or_path: str) -> str:
        return url_or_path.rpartition("/")[0]

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        root = file_of(_SCHEME)
        for path in file_of(dir_or_prefix).rglob("*"):
            if path.is_file():
                uri = _SCHEME + path.relative_to(root).as_posix()
                yield FileMetadata(uri, path.stat().st_size, path.stat().st_mtime)

    def create(self, path: str, *arguments: Any, **options: Any) -> Any:
        return super().create(str(file_of(path)), *arguments, **options)

    def open(self, path: str, *arguments: Any, **options: Any) -> Any:
        return super().open(str(file_of(path)), *arguments, **options)

    def exists(self, path: str) -> bool:
        return file_of(path).exists()

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            shutil.rmtree(file_of(path))

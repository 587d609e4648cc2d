"""A bucket that other processes reach too, which fsspec finds by `disk://`.

Its objects are files below the folder that the environment names: no path of theirs can be opened
by mistake, since paths of the bucket are none of this machine.
"""

import os
from pathlib import Path
from typing import Any

from fsspec import register_implementation
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

ROOT = "DARKROOM_TEST_DISK_BUCKET"
_SCHEME = "disk://"


def file_of(uri: str) -> Path:
    """The file that holds an object."""
    assert uri.startswith(_SCHEME), uri
    return Path(os.environ[ROOT]) / uri.removeprefix(_SCHEME)


class DiskBucket(DirFileSystem):
    """fsspec's interface over it."""

    protocol = "disk"
    cachable = False  # the next test has another folder

    def __init__(self, **options: Any) -> None:
        super().__init__(os.environ[ROOT], LocalFileSystem(auto_mkdir=True), **options)


register_implementation("disk", DiskBucket, clobber=True)

"""Records of shards as a `tf.data` stream, wherever the shards are."""

import functools
import hashlib
import shutil
import tempfile
import threading
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from darkroom.errors import StepError
from darkroom.storage.files import clear_errors, download
from darkroom.storage.paths import is_uri

AHEAD = 4
"""Shards that are fetched while those before them are read: a store answers late, but many."""
_SHARE_OF_FREE_DISK = 0.5


def record_stream(shards: Sequence[str], order: Any = None) -> Any:
    """The records of shards, one shard after the other.

    Args:
        shards: Paths or URIs. What is in a store is copied to this machine's disk ahead of its
            use, and stays there for the next pass while there is room.
        order: The shards in another order, string [N], where it is only known within a graph.

    Returns:
        A tf.data.Dataset of serialized records.
    """
    import tensorflow as tf

    files = list(shards) if order is None else order
    if not any(map(is_uri, shards)):
        return tf.data.TFRecordDataset(files)

    copies = _copies()  # here, since of two threads that ask first each would make its own

    def borrow(location: bytes) -> bytes:
        return str(copies.borrow(location.decode())).encode()

    def give_back(path: bytes) -> bytes:
        copies.give_back(Path(path.decode()))
        return b""

    def borrowed(location: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(borrow, [location], tf.string), [])

    def read(path: Any) -> Any:
        # Once its last record is read, nobody needs the copy; this gives no record itself.
        end = tf.data.Dataset.from_tensors(path).map(
            lambda path: tf.ensure_shape(tf.numpy_function(give_back, [path], tf.string), [])
        )
        return tf.data.TFRecordDataset(path).concatenate(end.filter(lambda _: False))

    paths = tf.data.Dataset.from_tensor_slices(files).map(borrowed, num_parallel_calls=AHEAD)
    return paths.flat_map(read)


class Copies:
    """Copies of files in stores, on this machine's disk; the longest unused goes first."""

    def __init__(self, most_bytes: float | None = None) -> None:
        """Makes a folder for them, which goes with this.

        Args:
            most_bytes: How much they may be together, beside those that are being read; unset,
                half of what is free.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="darkroom-shards-")
        free = shutil.disk_usage(self._folder.name).free
        self._most_bytes = free * _SHARE_OF_FREE_DISK if most_bytes is None else most_bytes
        self._lock = threading.Lock()
        self._fetching: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)
        self._readers: Counter[Path] = Counter()
        self._sizes: OrderedDict[Path, int] = OrderedDict()

    def borrow(self, location: str) -> Path:
        """The path of a file's copy, which is made if there is none, and stays until given back.

        Raises:
            StepError: The file cannot be read.
        """
        path = Path(self._folder.name) / hashlib.sha256(location.encode()).hexdigest()
        with self._lock:
            self._readers[path] += 1
            fetching = self._fetching[path]
        with fetching:
            if not path.exists():
                _download(location, path)
        with self._lock:
            self._sizes[path] = path.stat().st_size
            self._sizes.move_to_end(path)
            self._make_room()
        return path

    def give_back(self, path: Path) -> None:
        """Lets a copy go where room is needed."""
        with self._lock:
            self._readers[path] -= 1
            self._make_room()

    def _make_room(self) -> None:
        for path in list(self._sizes):
            if sum(self._sizes.values()) <= self._most_bytes:
                return
            if not self._readers[path]:
                del self._sizes[path]
                path.unlink()


def _download(location: str, path: Path) -> None:
    with (
        tempfile.TemporaryDirectory(dir=path.parent) as temporary,
        clear_errors(f"cannot read {location}", StepError),
    ):
        (copy,) = download([location], Path(temporary))
        copy.replace(path)


_copies = functools.cache(Copies)

"""Records of shards as a `tf.data` stream, wherever the shards are."""

import functools
import hashlib
import shutil
import tempfile
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from darkroom.errors import StepError
from darkroom.storage.files import clear_errors, download
from darkroom.storage.paths import is_uri

AHEAD = 4
"""Shards that are fetched while those before them are read: a store answers late, but many."""
_FEWEST_KEPT = 4 * AHEAD
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

    def fetch(location: bytes) -> bytes:
        return str(copies.path_of(location.decode())).encode()

    def fetched(location: Any) -> Any:
        path = tf.numpy_function(fetch, [location], tf.string, stateful=True)
        return tf.ensure_shape(path, [])

    paths = tf.data.Dataset.from_tensor_slices(files).map(fetched, num_parallel_calls=AHEAD)
    return paths.flat_map(tf.data.TFRecordDataset)


class Copies:
    """Copies of files in stores, on this machine's disk; the longest unused goes first."""

    def __init__(self, most_bytes: float | None = None) -> None:
        """Makes a folder for them, which goes with this.

        Args:
            most_bytes: How much they may be together, though the last few are kept whatever they
                are; unset, half of what is free.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="darkroom-shards-")
        free = shutil.disk_usage(self._folder.name).free
        self._most_bytes = free * _SHARE_OF_FREE_DISK if most_bytes is None else most_bytes
        self._lock = threading.Lock()
        self._fetching: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._sizes: OrderedDict[Path, int] = OrderedDict()

    def path_of(self, location: str) -> Path:
        """The path of a file's copy, which is made if there is none.

        Raises:
            StepError: The file cannot be read.
        """
        path = Path(self._folder.name) / hashlib.sha256(location.encode()).hexdigest()
        with self._lock:
            fetching = self._fetching[location]
        with fetching:
            if not path.exists():
                _download(location, path)
            self._used(path)
        return path

    def _used(self, path: Path) -> None:
        with self._lock:
            self._sizes[path] = path.stat().st_size
            self._sizes.move_to_end(path)
            while len(self._sizes) > _FEWEST_KEPT and sum(self._sizes.values()) > self._most_bytes:
                # Who reads it at the moment goes on reading it.
                self._sizes.popitem(last=False)[0].unlink()


def _download(location: str, path: Path) -> None:
    with (
        tempfile.TemporaryDirectory(dir=path.parent) as temporary,
        clear_errors(f"cannot read {location}", StepError),
    ):
        (copy,) = download([location], Path(temporary))
        copy.replace(path)


_copies = functools.cache(Copies)

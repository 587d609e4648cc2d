"""The shards of an artifact, in its own folder or in a store."""

from pathlib import Path

from darkroom.errors import StepError
from darkroom.storage.files import StoredFile, clear_errors, list_files
from darkroom.storage.paths import is_uri


def list_shards(folder: str, split: str) -> list[StoredFile]:
    """The TFRecord files of a split, in order.

    Args:
        folder: A path or URI.
        split: `train`, `valid` or `test`.

    Raises:
        StepError: The store refuses, or does not answer.
    """
    if is_uri(folder):
        with clear_errors(f"cannot list {folder}", StepError):
            return list_files(f"{folder}/{split}-*.tfrecord")
    found = sorted(Path(folder).glob(f"{split}-*.tfrecord"))
    stats = [(str(path), path.stat()) for path in found]
    return [StoredFile(path, stat.st_size, stat.st_mtime) for path, stat in stats]

"""Locks: one process of this machine at a time."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from darkroom.errors import StepError
from darkroom.storage.atomic import os_reason


@contextlib.contextmanager
def locked(lock: Path, busy: str) -> Iterator[None]:
    """Keeps other processes of this machine out; one that is killed does not.

    Args:
        lock: The file to lock, which is there meanwhile.
        busy: What to say where another process has it.

    Raises:
        StepError: Another process has it, or it cannot be written.
    """
    while True:
        with _opened(lock) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StepError(busy) from None
            except OSError:
                pass  # mounted buckets have no locks
            if not _is_there(lock, file.fileno()):
                continue  # who had it has removed it, and another may have made it again
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def _opened(lock: Path) -> TextIO:
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        return lock.open("w", encoding="utf-8")
    except OSError as error:
        raise StepError(f"cannot write {lock}: {os_reason(error)}") from error


def _is_there(lock: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(lock.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False

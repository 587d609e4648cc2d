"""Where a monitor's state is kept: the database and the page, in a folder or in a bucket.

In a folder they are used in place, by one monitor at a time. From a bucket the database is copied
here, and what became of it is written back as the next one: `state-000042.json` names its file.
That small file is created only where there is none, so that of several monitors that began with
the same state one writes the next; what another found is not written over it.
"""

import contextlib
import dataclasses
import datetime
import json
import re
import shutil
import socket
import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from components.monitor.state.database import opened
from darkroom.artifacts.manifest import file_digest
from darkroom.errors import StepError
from darkroom.storage import files
from darkroom.storage.atomic import atomic_file, os_reason
from darkroom.storage.locks import locked
from darkroom.storage.paths import is_uri

Result = TypeVar("Result")

DATABASE = "monitor.db"
PAGE = "report.html"
_LOCK = "monitor.lock"
_STATE = re.compile(r"state-([0-9]{6,})\.json")
_FILE = re.compile(r"monitor-([0-9]{6,})-[0-9a-f]{32}\.db")
_ATTEMPTS = 5


class OvertakenError(StepError):
    """Another monitor has written the next state; what it wrote is kept."""


@dataclasses.dataclass
class State:
    """The state, while a monitor has it.

    Attributes:
        location: The folder or the bucket's URI.
        database: The database here, which need not exist yet.
        number: In a bucket, which state it is; 0 is none yet.
        file: In a bucket, the name of its file.
        digest: In a bucket, of that file.
    """

    location: str
    database: Path
    number: int = 0
    file: str = ""
    digest: str = ""

    @property
    def page(self) -> str:
        """Where people find the page."""
        return f"{self.location}/{PAGE}"

    def claim(self) -> None:
        """Makes what is known the newest state, whether or not it has changed.

        Of several monitors that began with the same state only one continues, and may tell
        others of it. The database must be closed.

        Raises:
            OvertakenError: Another monitor has written one meanwhile.
            StepError: It cannot be written.
        """
        if is_uri(self.location):
            self._write(file_digest(self.database))

    def keep(self) -> None:
        """Writes the database back, complete or not at all; one that has not changed stays.

        The database must be closed.

        Raises:
            OvertakenError: Another monitor has written one meanwhile.
            StepError: It cannot be written.
        """
        if is_uri(self.location) and (digest := file_digest(self.database)) != self.digest:
            self._write(digest)

    def keep_page(self, page: Path) -> None:
        """Puts the page beside the database.

        Raises:
            StepError: It cannot be written.
        """
        if is_uri(self.location):
            with files.clear_errors(f"cannot write {self.page}", StepError):
                files.put(page, self.page)
            return
        try:
            with atomic_file(Path(self.page)) as temporary:
                shutil.copyfile(page, temporary)
        except OSError as error:
            raise StepError(f"cannot write {self.page}: {os_reason(error)}") from error

    def _write(self, digest: str) -> None:
        number, file = self.number + 1, self.file
        with files.clear_errors(f"cannot write {self.location}", StepError):
            if digest != self.digest:
                file = f"monitor-{number:06d}-{uuid.uuid4().hex}.db"
                files.put(self.database, f"{self.location}/{file}")
            if not self._create(number, file):
                if file != self.file:
                    files.delete([f"{self.location}/{file}"])
                raise OvertakenError(
                    f"another monitor has written {self.location} meanwhile, and its work is "
                    "kept: monitor again"
                )
            self.number, self.file, self.digest = number, file, digest
            with contextlib.suppress(Exception):  # the next one tries again
                self._remove_old()

    def _create(self, number: int, file: str) -> bool:
        """Creates a state; False if another monitor has."""
        now = datetime.datetime.now(datetime.UTC).isoformat()
        entry = {"file": file, "time": now, "who": socket.gethostname(), "id": uuid.uuid4().hex}
        content = json.dumps(entry).encode()
        location = f"{self.location}/state-{number:06d}.json"
        # A client that tries again, since an answer was lost, finds its own file there.
        if not files.create(location, content) and files.read_bytes(location) != content:
            return False
        # Old ones are removed: one that is created in such a one's place is not the next.
        if max(_numbers(self.location)) > number:
            files.delete([location])
            return False
        return True

    def _remove_old(self) -> None:
        """Removes what nobody reads any more: all but this state and the one before it."""
        kept = {self.number, self.number - 1}
        names = {_entry(self.location, number)["file"] for number in kept if number}
        _, found = files.list_level(self.location)
        # Databases of this number, too: who has not created its state by now is overtaken.
        matches = (_STATE.fullmatch(name) or _FILE.fullmatch(name) for name in found)
        old = [match[0] for match in matches if match and int(match[1]) <= self.number]
        names |= {f"state-{number:06d}.json" for number in kept}
        files.delete([f"{self.location}/{name}" for name in old if name not in names])


def has_state(location: str) -> bool:
    """Whether a monitor has been at work in a folder or bucket.

    Raises:
        StepError: The bucket cannot be read.
    """
    return (
        bool(newest_number(location)) if is_uri(location) else (Path(location) / DATABASE).is_file()
    )


def newest_number(location: str) -> int:
    """The number of a bucket's newest state; 0 if there is none.

    Raises:
        StepError: The bucket cannot be read.
    """
    with files.clear_errors(f"cannot read {location}", StepError):
        return max(_numbers(location), default=0)


@contextlib.contextmanager
def held(location: str) -> Iterator[State]:
    """Gives the state to work with; `State.keep` writes it back.

    Args:
        location: A folder, or a bucket's URI.

    Raises:
        StepError: Another monitor is at work in the folder, or the state cannot be read.
    """
    if not is_uri(location):
        busy = f"another monitor is at work in {location}: wait until it has ended"
        with locked(Path(location) / _LOCK, busy):
            yield State(location, Path(location) / DATABASE)
        return
    with fetched(location) as state:
        yield state


def changed(location: str, change: Callable[[sqlite3.Connection], Result]) -> Result:
    """Changes the database where it is kept, also while a monitor is at work with it.

    Args:
        location: A folder, or a bucket's URI.
        change: Is called with the database, again where another process was faster.

    Returns:
        What `change` gives.

    Raises:
        StepError: The state cannot be read or written.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        with fetched(location) as state:
            with opened(state.database) as connection:
                result = change(connection)
            try:
                state.keep()
            except OvertakenError:
                if attempt == _ATTEMPTS:
                    raise
                continue
            return result
    raise AssertionError("unreachable")


@contextlib.contextmanager
def fetched(location: str) -> Iterator[State]:
    """Gives the state to look at: a folder's own database, or a copy of a bucket's.

    Raises:
        StepError: It cannot be read.
    """
    if not is_uri(location):
        yield State(location, Path(location) / DATABASE)
        return
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / DATABASE
        with files.clear_errors(f"cannot read {location}", StepError):
            number, file = _fetch(location, database)
        yield State(location, database, number, file, file_digest(database) if file else "")


def _fetch(location: str, database: Path) -> tuple[int, str]:
    """Copies the newest database here; gives its number and file, 0 and "" if there is none."""
    for attempt in range(_ATTEMPTS):
        number = max(_numbers(location), default=0)
        if not number:
            return 0, ""
        try:
            file = _entry(location, number)["file"]
            (copy,) = files.download([f"{location}/{file}"], database.parent)
        except FileNotFoundError:
            if attempt == _ATTEMPTS - 1:
                raise
            continue  # newer ones have taken its place meanwhile
        copy.rename(database)
        return number, file
    raise AssertionError("unreachable")


def _numbers(location: str) -> list[int]:
    _, names = files.list_level(location)
    return [int(match[1]) for match in map(_STATE.fullmatch, names) if match]


def _entry(location: str, number: int) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(files.read_bytes(f"{location}/state-{number:06d}.json"))
    return entry

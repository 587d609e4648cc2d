"""The push log: what was done to the versions of a model, an entry a change, in order.

Beside the versions lies a folder `push_log`, in it a file an entry, each a line of JSON: `cat
push_log/*` is JSON Lines. An entry's number is its file's name; of several writers, on whatever
machines, one makes the file of a number, so that no entry is lost and every change is made upon
the one before it. Each entry holds the digest of the file before: a changed or removed one shows.

An entry says which folders take another name (`moves`) and is written before they do; once they
have, a file `.done` stands beside it. What a killed command has left undone, the next one does
first. The newest entry alone could be changed without a trace.
"""

import dataclasses
import datetime
import getpass
import hashlib
import json
import math
import re
import socket
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from darkroom.artifacts.model_repository import listed
from darkroom.errors import StepError
from darkroom.storage import files
from darkroom.storage.paths import is_uri

FOLDER = "push_log"
_FILE = re.compile(r"([0-9]{6,})\.json")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A change of the versions.

    Attributes:
        action: `push`, `canary`, `promote`, `traffic`, `rollback` or `prune`.
        version: The number of the version that it is about.
        serving: The number of the version that serves after it.
        canary: The canary's number after it; None without one.
        traffic: The share of requests that the canary gets after it, in percent.
        rolled_back: The numbers of the versions that it takes out of service, the highest first.
        moves: Folders that take another name, as pairs of old and new, in order.
        digest: The version's model, where known.
        run: The run that made it, where known.
        metrics: The version's metrics, where it was pushed.
        reason: Why, in words; empty where nobody said.
        time: When, in UTC, as ISO 8601.
        who: The person and machine.
        previous: SHA-256 of the entry before it; empty of the first.
        id: Random, so that no two entries are equal.
        number: Its place in the log, from 1.
    """

    action: str
    version: int
    serving: int
    canary: int | None = None
    traffic: int = 0
    rolled_back: Sequence[int] = ()
    moves: Sequence[Sequence[str]] = ()
    digest: str | None = None
    run: str | None = None
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    reason: str = ""
    time: str = ""
    who: str = ""
    previous: str = ""
    id: str = ""
    number: int = 0


class PushLog:
    """The log of a model repository, as it was when it was read.

    Args:
        repository: Path or URI of the repository.

    Attributes:
        entries: Oldest first.

    Raises:
        StepError: It cannot be read, or an entry was changed or removed.
    """

    def __init__(self, repository: str) -> None:
        self._folder = f"{repository}/{FOLDER}"
        self._last_digest = ""
        self.entries: list[Entry] = []
        with files.clear_errors(f"cannot read {self._folder}", StepError):
            for name in _file_names(self._folder):
                self._add(name, _read(f"{self._folder}/{name}"))

    def _add(self, name: str, content: bytes) -> None:
        entry = _parsed(content, f"{self._folder}/{name}")
        if name != _name(len(self.entries) + 1) or entry.previous != self._last_digest:
            raise StepError(
                f"{self._folder}/{name} does not follow the entry before it: the log was changed"
            )
        self.entries.append(entry)
        self._last_digest = hashlib.sha256(content).hexdigest()

    @property
    def last(self) -> Entry | None:
        """The newest entry."""
        return self.entries[-1] if self.entries else None

    def append(self, entry: Entry) -> bool:
        """Writes an entry after those that were read, with the time and who wrote it.

        Returns:
            Whether it was written; False where another command has written one meanwhile.
        """
        complete = dataclasses.replace(
            entry,
            time=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            who=f"{_user()}@{socket.gethostname()}",
            previous=self._last_digest,
            id=uuid.uuid4().hex,
            number=len(self.entries) + 1,
        )
        text = json.dumps(_without_nan(dataclasses.asdict(complete)), ensure_ascii=False)
        content, name = text.encode() + b"\n", _name(complete.number)
        location = f"{self._folder}/{name}"
        # A client that tries again, since an answer was lost, finds its own file there.
        if not files.create(location, content) and _read(location) != content:
            return False
        self._add(name, content)
        return True


def is_carried_out(repository: str, entry: Entry) -> bool:
    """Whether all that an entry says has been done."""
    return not entry.moves or files.exists(f"{repository}/{FOLDER}/{_done_name(entry)}")


def mark_as_carried_out(repository: str, entry: Entry) -> None:
    """Notes that all that an entry says has been done."""
    if entry.moves:
        files.create(f"{repository}/{FOLDER}/{_done_name(entry)}", b"")


def last_entry(repository: str) -> Entry | None:
    """The newest entry of a repository's log, without reading the others."""
    folder = f"{repository}/{FOLDER}"
    newest = max(_file_names(folder), default=None)
    if newest is None:
        return None
    with files.clear_errors(f"cannot read {folder}/{newest}", StepError):
        return _parsed(_read(f"{folder}/{newest}"), f"{folder}/{newest}")


def _file_names(folder: str) -> list[str]:
    _, names = listed(folder)
    return sorted(filter(_FILE.fullmatch, names))


def _read(location: str) -> bytes:
    return files.read_bytes(location) if is_uri(location) else Path(location).read_bytes()


def _parsed(content: bytes, location: str) -> Entry:
    known = {field.name for field in dataclasses.fields(Entry)}
    try:
        values = json.loads(content)
        # A later release may say more.
        return Entry(**{name: value for name, value in values.items() if name in known})
    except (ValueError, TypeError, AttributeError):
        raise StepError(f"{location} is no entry of a push log") from None


def _name(number: int) -> str:
    return f"{number:06d}.json"


def _done_name(entry: Entry) -> str:
    return f"{entry.number:06d}.done"


def _without_nan(value: Any) -> Any:
    """JSON values, with None for what is not a number."""
    if isinstance(value, Mapping):
        return {name: _without_nan(each) for name, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"

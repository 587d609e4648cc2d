"""The push log: what was done to the versions of a model, an entry a change, in order.

Beside the versions lies a folder `push_log`, in it a file an entry, each a line of JSON: `cat
push_log/*` is JSON Lines. An entry's number is its file's name; of several writers, on whatever
machines, one makes the file of a number, so that no entry is lost and every change is made upon
the one before it. Each entry holds the digest of the file before: a changed or removed one shows.

An entry says which folders take another name (`moves`) and is written before they do; once they
have, a file `.done` stands beside it. What a killed command has left undone, the next one does
first. The newest entry alone could be changed without a trace.

Every fifty entries there is a page, `.000050.jsonl`: all of them so far in one file, so that who
reads a long log asks a store for some files only. What it holds is checked as the entries are.
"""

import contextlib
import dataclasses
import datetime
import getpass
import hashlib
import json
import math
import re
import socket
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from darkroom.artifacts.model_repository import listed
from darkroom.errors import StepError
from darkroom.storage import files

FOLDER = "push_log"
_FILE = re.compile(r"([0-9]{6,})\.json")
_PAGE = re.compile(r"\.([0-9]{6,})\.jsonl")
_ENTRIES_OF_A_PAGE = 50
_WRITTEN_WITHIN = 5.0
"""Seconds after which an entry without an end was written by a process that is gone."""


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
        verdict: What the evaluation said of it, where it was pushed: `blessed`, and `champion`, the
            name of what it was compared with, or None.
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
    verdict: Mapping[str, Any] = dataclasses.field(default_factory=dict)
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
        known: What was read of it earlier: only newer entries are read then.

    Attributes:
        repository: Path or URI of the repository.

    Raises:
        StepError: It cannot be read, or an entry was changed or removed.
    """

    def __init__(self, repository: str, known: "PushLog | None" = None) -> None:
        self.repository = repository
        self._folder = f"{repository}/{FOLDER}"
        self._read: list[tuple[Entry, bytes]] = [] if known is None else list(known._read)
        self.refresh()

    @property
    def entries(self) -> list[Entry]:
        """The entries, oldest first."""
        return [entry for entry, _ in self._read]

    @property
    def last(self) -> Entry | None:
        """The newest entry."""
        return self._read[-1][0] if self._read else None

    def refresh(self) -> bool:
        """Reads the entries that were written since; whether there are any.

        Raises:
            StepError: They cannot be read, or an entry was changed or removed.
        """
        before = len(self._read)
        with files.clear_errors(f"cannot read {self._folder}", StepError):
            _, present = listed(self._folder)
            names = sorted(filter(_FILE.fullmatch, present))
            for number, name in enumerate(names, 1):
                if name != _name(number):
                    raise self._changed(name)
            if len(names) < before:
                raise self._changed(_name(before))
            self._read_pages(sorted(filter(_PAGE.fullmatch, present)))
            locations = [f"{self._folder}/{name}" for name in names[len(self._read) :]]
            contents = files.read_several(locations)
            for location, content in zip(locations, contents, strict=True):
                self._add(location, _whole(location, content))
        return len(self._read) > before

    def _read_pages(self, names: Sequence[str]) -> None:
        """Reads what is new in the newest page, if that has anything new."""
        known = len(self._read)
        if not names or int(names[-1].split(".")[1]) <= known:
            return
        location = f"{self._folder}/{names[-1]}"
        with contextlib.suppress(FileNotFoundError):  # a newer one has taken its place meanwhile
            for line in files.read_bytes(location).splitlines(keepends=True)[known:]:
                self._add(location, line)

    def _add(self, location: str, content: bytes) -> None:
        entry = _parsed(content, location)
        if (entry.number, entry.previous) != (len(self._read) + 1, self._last_digest):
            raise self._changed(location.rpartition("/")[2])
        self._read.append((entry, content))

    def _changed(self, name: str) -> StepError:
        return StepError(
            f"{self._folder}/{name} does not follow the entry before it: the log was changed"
        )

    @property
    def _last_digest(self) -> str:
        return hashlib.sha256(self._read[-1][1]).hexdigest() if self._read else ""

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
            number=len(self._read) + 1,
        )
        text = json.dumps(_without_nan(dataclasses.asdict(complete)), ensure_ascii=False)
        content = text.encode() + b"\n"
        location = f"{self._folder}/{_name(complete.number)}"
        # A client that tries again, since an answer was lost, finds its own file there.
        if not files.create(location, content) and files.read_bytes(location) != content:
            return False
        self._add(location, content)
        if complete.number % _ENTRIES_OF_A_PAGE == 0:
            self._write_page()
        return True

    def _write_page(self) -> None:
        """Writes all entries so far into one file, and removes the page before it."""
        number = len(self._read)
        with contextlib.suppress(Exception):  # without it, reading takes longer
            content = b"".join(content for _, content in self._read)
            files.create(f"{self._folder}/{_page_name(number)}", content)
            files.delete([f"{self._folder}/{_page_name(number - _ENTRIES_OF_A_PAGE)}"])


def rolled_back_numbers(entries: Sequence[Entry]) -> set[int]:
    """The numbers of the versions that were taken out of service and do not serve again.

    Args:
        entries: A whole log's, oldest first.
    """
    out: set[int] = set()
    for entry in entries:
        out = (out | set(entry.rolled_back)) - {entry.serving}
    return out


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
    newest = max(filter(_FILE.fullmatch, listed(folder)[1]), default=None)
    if newest is None:
        return None
    location = f"{folder}/{newest}"
    with files.clear_errors(f"cannot read {location}", StepError):
        return _parsed(_whole(location, files.read_bytes(location)), location)


def _whole(location: str, content: bytes) -> bytes:
    """The content of an entry, which another process may be writing where nothing can be linked."""
    until = time.monotonic() + _WRITTEN_WITHIN
    while not content.endswith(b"\n") and time.monotonic() < until:
        time.sleep(0.02)
        content = files.read_bytes(location)
    return content


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


def _page_name(number: int) -> str:
    return f".{number:06d}.jsonl"


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

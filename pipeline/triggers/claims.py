"""The starts of a pipeline's runs, numbered: who creates the next number starts the run."""

import dataclasses
import datetime
import json
import uuid
from collections.abc import Iterable

from pipeline.triggers.store import Store

ABANDONED_AFTER = datetime.timedelta(minutes=15)
"""After so long a start that names no run is of a trigger that died on its way."""

_SEEN_BYTES = 8


@dataclasses.dataclass(frozen=True)
class RunClaim:
    """A start that was claimed.

    Attributes:
        number: Its number, from 1.
        time: When it was claimed.
        reason: Why, in words.
        run: The run's id; "" before the cluster gave one.
        key: What was asked for, where somebody may ask for it again; "" otherwise.
    """

    number: int
    time: datetime.datetime
    reason: str
    run: str = ""
    key: str = ""

    def is_active(self, now: datetime.datetime) -> bool:
        """Whether it started a run, or may yet."""
        return bool(self.run) or now - self.time < ABANDONED_AFTER


class ClaimLog:
    """The starts of one pipeline.

    Args:
        store: Where they are kept: `000007.claim`, `000007.seen` and `000007.run`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def last(self, now: datetime.datetime) -> RunClaim | None:
        """The last start that stands; None if there was none."""
        for number in sorted(self._numbers(), reverse=True):
            start = self._read(number)
            if start is not None and start.is_active(now):
                return start
        return None

    def of_key(self, key: str) -> RunClaim | None:
        """The last start for what a key names, whether it still stands or not."""
        for number in sorted(self._numbers(), reverse=True):
            start = self._read(number)
            if start is not None and start.key == key:
                return start
        return None

    def started_by(self, run: str) -> RunClaim | None:
        """The start that a run is known to be of."""
        starts = map(self._read, self._numbers())
        return next((start for start in starts if start is not None and start.run == run), None)

    def seen_photographs(self, start: RunClaim | None) -> frozenset[int]:
        """The marks of the photographs that were there at a start."""
        content = self._store.read(_name(start.number, "seen")) if start else None
        return frozenset(_unpacked(content or b""))

    def claim(
        self,
        reason: str,
        photographs: frozenset[int],
        last: RunClaim | None,
        now: datetime.datetime,
        key: str = "",
    ) -> RunClaim | None:
        """Claims the next start.

        Args:
            reason: Why a run is to start.
            photographs: Marks of the photographs that are there.
            last: The start that the decision went by.
            now: The time.
            key: What is asked for, where somebody may ask for it again.

        Returns:
            The start; None if another trigger claimed one meanwhile.
        """
        numbers = self._numbers()
        if any(
            number > (last.number if last else 0) and self._stands(number, now)
            for number in numbers
        ):
            return None
        number = max(numbers, default=0) + 1
        claim = {"time": now.isoformat(), "reason": reason, "key": key, "token": uuid.uuid4().hex}
        content = json.dumps(claim).encode()
        name = _name(number, "claim")
        if not self._store.create(name, content) and self._store.read(name) != content:
            return None
        self._store.create(_name(number, "seen"), _packed(photographs))
        return RunClaim(number, now, reason, key=key)

    def started(self, start: RunClaim, run: str) -> None:
        """Writes down the run of a start; what earlier ones had seen is no more of use."""
        self._store.create(_name(start.number, "run"), run.encode())
        for name in self._store.names():
            if name.endswith(".seen") and name < _name(start.number, "seen"):
                self._store.delete(name)

    def give_up(self, start: RunClaim) -> None:
        """Takes a start back whose run the cluster refused, so that the next trigger tries."""
        for kind in ("seen", "claim"):
            self._store.delete(_name(start.number, kind))

    def _stands(self, number: int, now: datetime.datetime) -> bool:
        start = self._read(number)
        return start is not None and start.is_active(now)

    def _read(self, number: int) -> RunClaim | None:
        content = self._store.read(_name(number, "claim"))
        if content is None:
            return None
        claim = json.loads(content)
        run = self._store.read(_name(number, "run")) or b""
        time = datetime.datetime.fromisoformat(claim["time"])
        return RunClaim(number, time, claim["reason"], run.decode(), claim.get("key", ""))

    def _numbers(self) -> list[int]:
        claims = [name for name in self._store.names() if name.endswith(".claim")]
        return [int(name.removesuffix(".claim")) for name in claims]


def _name(number: int, kind: str) -> str:
    return f"{number:06d}.{kind}"


def _packed(marks: Iterable[int]) -> bytes:
    return b"".join(mark.to_bytes(_SEEN_BYTES) for mark in sorted(marks))


def _unpacked(content: bytes) -> list[int]:
    places = range(0, len(content), _SEEN_BYTES)
    return [int.from_bytes(content[place : place + _SEEN_BYTES]) for place in places]

"""What is known of a request while it is answered; its door writes it down at the end."""

import contextlib
import dataclasses
import re
import secrets
from collections.abc import Iterable, Iterator
from contextvars import ContextVar

_LONGEST = 128
_WELL_FORMED = re.compile(rf"[\w.:/+=@-]{{1,{_LONGEST}}}", re.ASCII)
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")


@dataclasses.dataclass(slots=True)
class RequestRecord:
    """A request.

    Attributes:
        request_id: What tells it from others, in its answer's header and in the log.
        model: The model that it asked.
        version: The number of the version that answers it.
        instances: How many it has.
        request_bytes: Size of its message.
        answer_bytes: Size of its answer's.
        abandoned: Whether nobody waits for its answer any more.
    """

    request_id: str
    model: str = ""
    version: int = 0
    instances: int = 0
    request_bytes: int = 0
    answer_bytes: int = 0
    abandoned: bool = False


_current: ContextVar[RequestRecord | None] = ContextVar("request", default=None)


def current_record() -> RequestRecord:
    """The record of the request that is being answered; a new one where no door made one."""
    return _current.get() or RequestRecord("")


@contextlib.contextmanager
def recorded(headers: Iterable[tuple[str, str]]) -> Iterator[RequestRecord]:
    """A record of a request, as long as the block lasts.

    Args:
        headers: The request's headers, or its metadata, whose names are in lower case.
    """
    record = RequestRecord(request_id(headers))
    token = _current.set(record)
    try:
        yield record
    finally:
        _current.reset(token)


def request_id(headers: Iterable[tuple[str, str]]) -> str:
    """The id that a client gave by `x-request-id` or `traceparent`, else a new one.

    >>> request_id([("x-request-id", "order-7")])
    'order-7'
    >>> request_id([("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")])
    '4bf92f3577b34da6a3ce929d0e0e4736'
    """
    given = dict(headers)
    if _WELL_FORMED.fullmatch(found := given.get("x-request-id", "")):
        return found
    if traced := _TRACEPARENT.fullmatch(given.get("traceparent", "")):
        return traced[1]
    return secrets.token_hex(16)

"""Notices that a client has gone whose request still waits, so that it need not be computed."""

import asyncio
import contextlib
from collections.abc import Iterator

from components.serve.asgi import Receive
from components.serve.telemetry.request_record import RequestRecord, current_record

_PATIENCE = 0.1
"""Seconds after which it pays to look: most requests are answered sooner."""


@contextlib.contextmanager
def noticing_gone_client(receive: Receive) -> Iterator[None]:
    """Marks the current request as abandoned once its client has gone, as long as the block lasts.

    Args:
        receive: ASGI's, after the whole body was read.
    """
    watchers: list[asyncio.Task[None]] = []
    loop, record = asyncio.get_running_loop(), current_record()
    timer = loop.call_later(
        _PATIENCE, lambda: watchers.append(loop.create_task(_watch(receive, record)))
    )
    try:
        yield
    finally:
        timer.cancel()
        for watcher in watchers:
            watcher.cancel()


async def _watch(receive: Receive, record: RequestRecord) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    record.abandoned = True

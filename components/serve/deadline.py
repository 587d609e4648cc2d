"""The latest end of a server that was told to stop, whatever its clients and threads do."""

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Iterator
from typing import NoReturn

GRACE_SECONDS = 7
"""Time for requests that have begun."""
_LAST_SECONDS = 9.5
"""After this nothing is waited for: a model that loads, a client that does not read."""
_LOG = logging.getLogger("darkroom.serve")
_ended = threading.Event()


@contextlib.contextmanager
def end_at_last() -> Iterator[None]:
    """Lets `begin_to_end` end the process, as long as the block lasts."""
    _ended.clear()
    try:
        yield
    finally:
        _ended.set()


def begin_to_end() -> None:
    """Ends the process some seconds from now, unless the server has ended by itself."""
    threading.Thread(target=_cut_off, name="deadline", daemon=True).start()


def leave() -> NoReturn:
    """Ends the process once the server has; TensorFlow's own end may take seconds."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _cut_off() -> None:
    if not _ended.wait(_LAST_SECONDS):
        _LOG.warning("stopped; what was still open is cut off")
        os._exit(0)

"""Lines that are written by a thread of their own, so that no answer waits for a disk or a pipe."""

import contextlib
import logging
import logging.handlers
import queue
import sys

_WAITING = 10_000
"""Lines that wait to be written, at most; more are left out, and counted."""
_LOG = logging.getLogger("darkroom.serve")


class LineWriter:
    """Writes lines in the order they come.

    Args:
        handler: Where they go.
        kind: What they are, for the log, such as `samples`.
    """

    def __init__(self, handler: logging.Handler, kind: str) -> None:
        self._handler, self._kind = handler, kind
        self._left_out, self._failed = 0, False
        handler.handleError = self._note_failure  # type: ignore[method-assign]
        self._lines: queue.Queue[logging.LogRecord] = queue.Queue(_WAITING)
        self._listener = logging.handlers.QueueListener(self._lines, handler)
        self._listener.start()

    def put(self, line: str) -> None:
        """Writes a line soon, or leaves it out where too many wait."""
        record = logging.LogRecord(self._kind, logging.INFO, "", 0, line, None, None)
        try:
            self._lines.put_nowait(record)
        except queue.Full:
            self._left_out += 1
            if self._left_out == 1 or self._left_out % 1000 == 0:
                count = self._left_out
                _LOG.warning("%d %s left out: they are not written in time", count, self._kind)

    def _note_failure(self, record: logging.LogRecord) -> None:  # noqa: ARG002
        """Says once that lines are lost, as on a full disk; answers go on."""
        if not self._failed:
            self._failed = True
            _LOG.warning("%s are lost, they cannot be written: %s", self._kind, sys.exception())

    def close(self) -> None:
        """Writes what waits."""
        with contextlib.suppress(queue.Full):  # what is not written in time is given up
            self._listener.stop()
        self._handler.close()

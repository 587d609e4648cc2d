"""The access log: a JSON line a request on standard output, with no address and no photograph."""

import datetime
import json
import logging
import sys
import time
from typing import Any

from components.serve.telemetry.line_writer import LineWriter
from components.serve.telemetry.request_record import RequestRecord

_LONGEST = 200
"""Characters of a path, which may be anything."""


class AccessLog:
    """Writes a line for each request, or only for those that the server failed to answer.

    Args:
        of_all: Whether each request gets a line.
    """

    def __init__(self, of_all: bool) -> None:
        self._of_all = of_all
        self._writer = LineWriter(logging.StreamHandler(sys.stdout), "access log lines")

    def note(
        self,
        record: RequestRecord,
        door: dict[str, str],
        status: int | str,
        failed: bool,
        began: float,
    ) -> None:
        """Notes an answered request.

        Args:
            record: What is known of it.
            door: How it came: `method` and `path`, or `rpc`.
            status: HTTP's status, or the name of gRPC's code.
            failed: Whether the server failed, and not the request.
            began: When it came, by `time.perf_counter`.
        """
        if not (self._of_all or failed):
            return
        line: dict[str, Any] = {
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
            "request_id": record.request_id,
            **{key: text[:_LONGEST] for key, text in door.items()},
            "status": status,
            "ms": round(1000 * (time.perf_counter() - began), 2),
            "request_bytes": record.request_bytes,
            "answer_bytes": record.answer_bytes,
        }
        if record.model:
            line["model"] = record.model
        if record.version:
            line |= {"version": record.version, "instances": record.instances}
        self._writer.put(json.dumps(line))

    def close(self) -> None:
        """Writes what waits."""
        self._writer.close()

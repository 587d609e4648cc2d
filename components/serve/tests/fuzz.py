"""How many requests a fuzz sends, and what must hold while it does."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis

from components.serve.tests.server_process import Server
from components.serve.tests.small_model import b64, photograph

REQUESTS = int(os.environ.get("DARKROOM_FUZZ", "1200"))
"""Requests of all fuzzes together, some more than are sent: what has few forms is sent once."""
GROWTH_MB = 150
"""Memory that a server may take on in a long fuzz; a leak of one photograph a request is more."""


def seeded(requests: int) -> Any:
    """Settings of hypothesis, for the same requests on every machine."""
    return hypothesis.settings(
        max_examples=max(1, requests),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


@contextlib.contextmanager
def unharmed(server: Server) -> Iterator[None]:
    """Checks that the server lives on, answers as before, and has not grown or logged a failure."""
    asked = {"instances": [b64(photograph(1))]}
    before, memory = server.predict(asked).json(), resident_mb(server)
    logged = len(server.log.read_text())
    assert "predictions" in before
    yield
    assert server.process.poll() is None
    assert server.predict(asked).json() == before
    assert resident_mb(server) < memory + GROWTH_MB
    log = server.log.read_text()[logged:]
    assert not re.search("Traceback|Error|Warning|failed", log), log


def resident_mb(server: Server) -> float:
    """The server's memory in MB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (kilobytes,) = re.findall(r"VmRSS:\s+(\d+) kB", status)
    return int(kilobytes) / 1000

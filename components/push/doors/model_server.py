"""The model server in a fresh process on a candidate, with all its doors."""

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from components.push.doors.addresses import doors_of
from components.push.doors.door import Door
from darkroom.errors import StepError

_NAME = "candidate"
_LONGEST_START = 300.0
_POLL = 0.05


@dataclasses.dataclass(frozen=True)
class RunningServer:
    """A model server that is ready.

    Attributes:
        doors: Its doors.
        startup_seconds: From the start of the process until it was ready.
        process: Number of its process.
    """

    doors: Sequence[Door]
    startup_seconds: float
    process: int

    def peak_memory(self) -> int | None:
        """Bytes of memory that it held at most; None where the system does not say."""
        with contextlib.suppress(OSError, ValueError):
            for line in Path(f"/proc/{self.process}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return None


@contextlib.contextmanager
def model_server(model: Path) -> Iterator[RunningServer]:
    """Starts `components.serve` on a model, at ports of this machine alone, until the end.

    Args:
        model: The SavedModel directory.

    Raises:
        StepError: It does not become ready.
    """
    port, grpc_port = _free_ports(2)
    command = [sys.executable, "-m", "components.serve", str(model), "--name", _NAME]
    ports = ["--port", str(port), "--grpc-port", str(grpc_port)]
    started = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [*command, *ports],
            stdout=log,
            stderr=log,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        try:
            ready = f"http://127.0.0.1:{port}/v2/health/ready"
            while not _is_ready(ready):
                if server.poll() is not None or time.perf_counter() - started > _LONGEST_START:
                    raise StepError(f"the model server does not start on the model: {_last(log)}")
                time.sleep(_POLL)
            if server.poll() is not None:  # another program answers at its port
                raise StepError(f"the model server does not start on the model: {_last(log)}")
            addresses = [
                f"http://127.0.0.1:{port}/v1/models/{_NAME}",
                f"http://127.0.0.1:{port}/v2/models/{_NAME}",
                f"grpc://127.0.0.1:{grpc_port}/{_NAME}",
            ]
            with contextlib.ExitStack() as opened:
                doors = [
                    opened.enter_context(contextlib.closing(door))
                    for address in addresses
                    for door in doors_of(address)
                ]
                yield RunningServer(doors, time.perf_counter() - started, server.pid)
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _is_ready(url: str) -> bool:
    import httpx

    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as open_:
        probes = [open_.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _last(log: BinaryIO) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it says nothing"

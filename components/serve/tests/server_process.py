"""The real server in a process of its own, and what a client and a push do to it."""

import contextlib
import dataclasses
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[3]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclasses.dataclass
class Server:
    process: subprocess.Popen[bytes]
    port: int
    name: str
    log: Path
    grpc_port: int | None = None

    def __post_init__(self) -> None:
        # One client, since each of httpx's own calls reads all certificates again.
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)

    def get(self, path: str = "") -> httpx.Response:
        return self.client.get(f"/v1/models/{self.name}{path}")

    def predict(self, body: Any, path: str = "") -> httpx.Response:
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        return self.client.post(f"/v1/models/{self.name}{path}:predict", **content)

    def serving(self) -> str | None:
        """The version that serves, or None as long as none does."""
        if self.state() != (200, "AVAILABLE"):
            return None
        return str(self.get().json()["model_version_status"][0]["version"])

    def state(self) -> tuple[int, str] | None:
        """HTTP status and state of the first version, or None as long as nobody answers."""
        with contextlib.suppress(httpx.TransportError):
            response = self.get()
            states = response.json()["model_version_status"]
            return response.status_code, states[0]["state"] if states else ""
        return None

    def wait_until(self, condition: Any) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)


def start_server(model_dir: Path, name: str, log: Path, *options: str) -> Server:
    return start_models(name, log, str(model_dir), *options)


def start_models(name: str, log: Path, *options: str) -> Server:
    """A server of what the options name; `name` is the model that is asked."""
    port = free_port()
    command = [sys.executable, "-m", "components.serve", "--port", str(port), *options]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    return Server(process, port, name, log)


def push(model: Path, version_folder: Path) -> None:
    """Publishes as push does: under a temporary name, then renamed."""
    temporary = version_folder.with_name(f".{version_folder.name}.partial")
    shutil.copytree(model, temporary)
    temporary.rename(version_folder)

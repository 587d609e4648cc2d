"""What runs while the model is in production: its server, clients, and `darkroom` commands."""

import base64
import concurrent.futures
import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from benchmarks import ROOT
from benchmarks.loop.world import Photograph

PORT = 18601
_CLIENTS = 4
_TIRED = 75
"""The exit code of what is not decided yet."""


class CommandError(Exception):
    """A command that did not do what it is to do; its message ends with what it wrote."""


def darkroom(*arguments: str, log: Path, may_wait: bool = False) -> str:
    """Runs a command as its user does.

    Args:
        arguments: Those of `darkroom`.
        log: The file that gets what it writes for people.
        may_wait: Whether it may end undecided.

    Returns:
        What it printed; "" where it ended undecided.

    Raises:
        CommandError: It failed.
    """
    command = [sys.executable, "-m", "pipeline.cli.main", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ darkroom {' '.join(arguments)}\n{done.stderr}{done.stdout}\n")
    if done.returncode == _TIRED and may_wait:
        return ""
    if done.returncode:
        last = "\n".join((done.stderr + done.stdout).splitlines()[-5:])
        raise CommandError(f"darkroom {' '.join(arguments)} ended with {done.returncode}:\n{last}")
    return done.stdout


@contextlib.contextmanager
def served(folder: Path, samples: Path, log: Path) -> Iterator[None]:
    """Serves what is pushed to a folder, and keeps every answer.

    Args:
        folder: Where models are pushed.
        samples: Where the answers go, with the photographs.
        log: The file that gets what the server writes.
    """
    settings = {
        "models": {"digits": str(folder)},
        "port": PORT,
        "poll_seconds": 1,
        "sample": {"folder": str(samples), "rate": 1, "images": True},
    }
    command = [sys.executable, "-m", "components.serve", "--settings", json.dumps(settings)]
    with log.open("a") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=output, env=dict(os.environ)
        )
    try:
        _wait_until_ready(process, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def show(photographs: Sequence[Photograph]) -> Counter[str]:
    """Asks the server about photographs, one a request.

    Returns:
        How many answers each version gave.

    Raises:
        CommandError: A request was not answered.
    """

    def ask(photograph: Photograph) -> str:
        body = {"instances": [{"b64": base64.b64encode(photograph.content).decode()}]}
        answer = client.post("/v1/models/digits:predict", json=body)
        if answer.status_code != 200:
            raise CommandError(f"the server answered {answer.status_code}: {answer.text[:200]}")
        return str(answer.headers["x-model-version"])

    with (
        httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=60) as client,
        concurrent.futures.ThreadPoolExecutor(_CLIENTS) as threads,
    ):
        return Counter(threads.map(ask, photographs))


def wait_for_canary(version: str, photographs: Sequence[Photograph], seconds: float) -> None:
    """Asks until a canary has answered, which the server finds by itself.

    Raises:
        CommandError: It has not in this time.
    """
    end = time.monotonic() + seconds
    while version not in show(photographs):
        if time.monotonic() > end:
            raise CommandError(f"version {version} has not answered within {seconds:g} seconds")
        time.sleep(1)


def write_labels(file: Path, photographs: Sequence[Photograph]) -> None:
    """Writes what people said of photographs by now; the file is a table that grows."""
    lines = {f"{each.image_id},{each.label}" for each in photographs}
    file.write_text("image_id,label\n" + "\n".join(sorted(lines)) + "\n", encoding="utf-8")


def monitored(config: Path, out: Path, log: Path) -> dict[str, Any]:
    """Looks once, as a schedule would every hour; a retraining that is due runs to its end."""
    printed = darkroom("monitor", str(config), "--json", "--out", str(out), log=log)
    found: dict[str, Any] = json.loads(printed)
    return found


def _wait_until_ready(process: "subprocess.Popen[bytes]", log: Path) -> None:
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{PORT}/v2/health/ready").status_code == 200:
                return
        if process.poll() is not None:
            raise CommandError(f"the server ended: see {log}")
        time.sleep(0.1)

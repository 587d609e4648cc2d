"""Clients of a model server that cost little themselves: `python -m benchmarks.clients ...`.

A process of its own and of one thread, which sends requests that were made before the first is
timed: on a machine of few cores a heavier client would be measured with the server.
"""

import asyncio
import base64
import dataclasses
import json
import re
import subprocess
import sys
import time
from collections import Counter
from typing import Annotated

import typer

from benchmarks import ROOT
from benchmarks.photographs import FLOWERS

PHOTOGRAPHS = 200
"""How many different photographs are sent, in turn."""
_HEAD = (
    b"POST /v1/models/model:predict HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


@dataclasses.dataclass(frozen=True)
class Answers:
    """What clients got.

    Attributes:
        rate: Requests a second that were answered with 200.
        statuses: How many answers had each status; `"0"` is none at all.
        p50: Median seconds of the answers with 200.
        p99: Their 99th percentile, in seconds.
    """

    rate: float
    statuses: dict[str, int]
    p50: float
    p99: float


def answers(
    port: int, clients: int, seconds: float = 0, requests: int = 0, rate: float = 0
) -> Answers:
    """Sends one photograph a request to a server of this machine.

    Args:
        port: The server's REST port.
        clients: How many ask at a time; each sends a request once it has the last one's answer.
        seconds: How long they do, or
        requests: how many they send in all.
        rate: How many are sent a second, whether earlier ones are answered or not, as long as one
            of the clients is free; 0: each client sends without a pause.
    """
    arguments = [str(value) for value in (port, clients, seconds, requests, rate)]
    command = [sys.executable, "-m", "benchmarks.clients", *arguments]
    output = subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout
    return Answers(**json.loads(output))


class _Load:
    """What the clients share: the next request, and the answers."""

    def __init__(self, seconds: float, requests: int, rate: float) -> None:
        self._begin = time.perf_counter()
        self._seconds, self._requests, self._rate = seconds, requests, rate
        self._sent = 0
        self.answered: list[tuple[int, float]] = []

    async def next(self) -> int | None:
        """The number of the next request, once it is time for it; None at the end."""
        number, now = self._sent, time.perf_counter() - self._begin
        if (self._requests and number >= self._requests) or now >= (self._seconds or 1e9):
            return None
        self._sent += 1
        if self._rate:
            await asyncio.sleep(max(0.0, number / self._rate - now))
        return number

    def result(self) -> Answers:
        passed = time.perf_counter() - self._begin
        taken = sorted(seconds for status, seconds in self.answered if status == 200)
        statuses = Counter(str(status) for status, _ in self.answered)
        p50, p99 = (taken[int(len(taken) * share)] if taken else -1.0 for share in (0.5, 0.99))
        return Answers(len(taken) / passed, dict(statuses), p50, p99)


async def _client(port: int, requests: list[bytes], load: _Load) -> None:
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while (number := await load.next()) is not None:
        started, status = time.perf_counter(), 0
        try:
            if streams is None:
                streams = await asyncio.open_connection("127.0.0.1", port)
            async with asyncio.timeout(120):
                status = await _asked(*streams, requests[number % len(requests)])
        except (OSError, EOFError, TimeoutError):
            streams = None
        load.answered.append((status, time.perf_counter() - started))


async def _asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    """The status of an answer, all of which has been read."""
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    (length,) = re.findall(rb"\r\ncontent-length: *(\d+)", head)
    await reader.readexactly(int(length))
    if b"\r\nconnection: close" in head:
        writer.close()
        raise EOFError
    return int(head.split(b" ", 2)[1])


async def _ask(port: int, clients: int, requests: list[bytes], load: _Load) -> None:
    await asyncio.gather(*(_client(port, requests, load) for _ in range(clients)))


def main(
    port: Annotated[int, typer.Argument()],
    clients: Annotated[int, typer.Argument()],
    seconds: Annotated[float, typer.Argument()],
    requests: Annotated[int, typer.Argument()],
    rate: Annotated[float, typer.Argument()],
) -> None:
    """Print what clients got, as JSON; see `answers`."""
    paths = sorted(FLOWERS.glob("*/*.jpg"))[:PHOTOGRAPHS]
    images = [base64.b64encode(path.read_bytes()).decode() for path in paths]
    bodies = [json.dumps({"instances": [{"b64": image}]}).encode() for image in images]
    load = _Load(seconds, requests, rate)
    asyncio.run(_ask(port, clients, [_HEAD % len(body) + body for body in bodies], load))
    print(json.dumps(dataclasses.asdict(load.result())))


if __name__ == "__main__":
    typer.run(main)

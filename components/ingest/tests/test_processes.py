"""The processes that read photographs, when one of them or their parent is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from darkroom.beam.options import worker_message

pytestmark = pytest.mark.slow

READ_FROM_A_PIPE = """
import sys
from pathlib import Path
from components.ingest.shards.chunk import Chunk
from components.ingest.sources.rows import Row
from components.ingest.settings import IngestSettings
from components.ingest.shards.write import write_chunks

rows = [Row("a.png", sys.argv[1], "a")] * 1000
chunks = [Chunk(n, 5, rows, range(1000)) for n in range(5)]
list(write_chunks(chunks, Path(sys.argv[2]), IngestSettings()))
"""


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A file that is read for as long as nobody writes to it."""
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.fixture
def parent(pipe: Path) -> Iterator[subprocess.Popen[str]]:
    """A process whose own processes read from the pipe; it has no main guard, as in a notebook."""
    command = [sys.executable, "-c", READ_FROM_A_PIPE, str(pipe), str(pipe.parent)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def readers(parent: int) -> list[int]:
    """The processes that read photographs for another."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    command = {child: Path(f"/proc/{child}/cmdline").read_text() for child in children}
    return [int(child) for child in children if "popen_loky" in command[child]]


def alive(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_a_killed_process_is_one_clear_line(parent: subprocess.Popen[str]) -> None:
    until(lambda: len(readers(parent.pid)) >= 2)
    os.kill(readers(parent.pid)[0], signal.SIGKILL)
    assert parent.stderr is not None
    message = worker_message(Exception(parent.stderr.read()))
    assert message is not None
    assert message.startswith("a process that read photographs was killed")


def test_no_process_outlives_a_killed_parent(parent: subprocess.Popen[str]) -> None:
    until(lambda: len(readers(parent.pid)) >= 2)
    left = readers(parent.pid)
    assert all(map(alive, left))
    parent.kill()
    until(lambda: not any(map(alive, left)))

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.artifacts.worker_errors import worker_message
from components.ingest.chunk import Chunk
from components.ingest.processes import processes
from components.ingest.rows import Row
from components.ingest.settings import IngestSettings
from components.ingest.shards import write_shards

PARENT = """
import os, time
from components.ingest.processes import processes
if __name__ == "__main__":
    print(processes().submit(os.getpid).result(), flush=True)
    time.sleep(60)
"""


@pytest.fixture
def broken() -> Iterator[None]:
    """The processes, one of which has been killed."""
    pool = processes()
    with pytest.raises(Exception, match="terminated abruptly"):
        pool.submit(os.kill, pool.submit(os.getpid).result(), signal.SIGKILL).result()
    yield
    processes.cache_clear()


@pytest.mark.usefixtures("broken")
def test_a_killed_process_is_one_clear_line(tmp_path: Path) -> None:
    chunks = [Chunk(number, 2, [Row("a.png", "/nowhere/a.png", "a")]) for number in range(2)]
    with pytest.raises(Exception, match="killed") as caught:
        list(write_shards(chunks, tmp_path, IngestSettings()))
    message = worker_message(caught.value)
    assert message is not None
    assert "DirectRunner" in message


def test_no_process_outlives_a_killed_parent() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert Path(f"/proc/{child}").exists()
        parent.kill()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()

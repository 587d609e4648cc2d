"""What a terminal shows of TensorFlow's start."""

import os
import pty
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

_SAYS = """
import os, sys
from darkroom.start_up_lines import without_start_up_lines
with without_start_up_lines():
    os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written\\n")
    os.write(2, b"I0000 00:00:1795807457.818412   15630 port.cc:153] oneDNN\\n")
    os.write(2, b"The library needs a newer processor\\n")
    if sys.argv[1] == "abort":
        os.abort()
os.write(2, b"I0000 said later\\n")
"""


def said(how: str) -> list[str]:
    """The lines that a terminal gets of a process."""
    read, written = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", _SAYS, how], stderr=written)
    os.close(written)
    text = b""
    while True:
        try:
            more = os.read(read, 4096)
        except OSError:  # so a terminal ends
            more = b""
        if not more:
            break
        text += more
    os.close(read)
    process.wait()
    return text.decode().splitlines()


@pytest.mark.parametrize(("how", "later"), [("succeed", ["I0000 said later"]), ("abort", [])])
def test_a_terminal_gets_what_matters_alone(how: str, later: list[str]) -> None:
    assert said(how) == ["The library needs a newer processor", *later]


def test_a_log_gets_all() -> None:
    command = [sys.executable, "-c", _SAYS, "succeed"]
    found = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=True).stderr
    assert len(found.splitlines()) == 4

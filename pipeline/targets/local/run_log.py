"""What a run prints: everything into its log file, the lines that matter to the terminal."""

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from pipeline.steps import step_names

_STEP_LINE = re.compile(rf"\s*(\[(?:{'|'.join(step_names())})\] .*)")


@contextlib.contextmanager
def logged_to(path: Path, terminal: TextIO) -> Iterator[None]:
    """Sends all that is printed meanwhile to a file, and the steps' own lines to the terminal.

    kfp prints each step's output as its own, amid some hundred lines of JSON a step.
    """
    with path.open("a", encoding="utf-8") as file:
        splitter = _Splitter(file, terminal)
        with contextlib.redirect_stdout(splitter), contextlib.redirect_stderr(splitter):
            yield


class _Splitter(io.TextIOBase):
    def __init__(self, file: TextIO, terminal: TextIO) -> None:
        self._file = file
        self._terminal = terminal
        self._line = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._file.write(text)
        self._file.flush()
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if match := _STEP_LINE.match(line):
                print(match[1], file=self._terminal, flush=True)
        return len(text)

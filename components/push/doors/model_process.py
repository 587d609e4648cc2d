"""A fresh process with a model that answers what it is asked, line by line."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from darkroom.errors import StepError

PROGRAM_HEAD = """
import base64, json, os, sys
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print is no answer
"""
"""How a program begins: it then writes `"ready"`, and an answer to each line, into `answers`."""
_LONGEST_LOAD, _LONGEST_ANSWER = 600.0, 120.0
"""Seconds after which the process is ended."""


class ModelProcess:
    """A process of Python, used in a `with` statement.

    Args:
        title: What people call it, such as `plain TensorFlow`.
        model: The model's path, for messages.
        program: What it runs.
        arguments: The program's arguments.
    """

    def __init__(self, title: str, model: object, program: str, arguments: Sequence[str]) -> None:
        self._title, self._model = title, model
        self._command = [sys.executable, "-c", PROGRAM_HEAD + program, *arguments]

    def __enter__(self) -> Self:
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        try:
            self._read("does not load", _LONGEST_LOAD)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def call(self, *values: str) -> object:
        """What it answers: numbers, or why there are none."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # why it has ended is read below
            self._process.stdin.write(json.dumps(values) + "\n")
            self._process.stdin.flush()
        return self._read("does not answer with", _LONGEST_ANSWER)

    def _read(self, failure: str, seconds: float) -> object:
        assert self._process.stdout is not None
        watch = threading.Timer(seconds, self._process.kill)
        watch.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watch.cancel()
        if line:
            answer: object = json.loads(line)
            return answer
        self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        why = said[-1] if said else "killed"
        raise StepError(f"{self._title} {failure} {self._model}: {why}")

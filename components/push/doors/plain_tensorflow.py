"""A model loaded by plain TensorFlow, in a fresh process that imports nothing of ours."""

import base64
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from components.push.doors.door import Answer
from components.push.doors.numbers import probabilities_of
from darkroom.artifacts.model import FROM_FILENAMES, SERVING_DEFAULT
from darkroom.artifacts.saved_model import plain_path
from darkroom.errors import StepError

_PROGRAM = """
import base64, json, os, sys
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print is no answer
import tensorflow as tf

signatures = tf.saved_model.load(sys.argv[1]).signatures
print(json.dumps("ready"), file=answers, flush=True)
for line in sys.stdin:
    name, value = json.loads(line)
    try:
        (argument,) = signatures[name].structured_input_signature[1]
        tensor = tf.constant([base64.b64decode(value)])
        answer = signatures[name](**{argument: tensor})["probabilities"].numpy()[0].tolist()
    except Exception as error:
        answer = str(error)
    print(json.dumps(answer), file=answers, flush=True)
"""
_LONGEST_LOAD, _LONGEST_ANSWER = 600.0, 120.0
"""Seconds after which the process is ended."""


class PlainTensorflow:
    """A process with a model, used in a `with` statement.

    Args:
        model: The SavedModel directory.

    Attributes:
        doors: Its signatures that take photographs, or their names.
    """

    def __init__(self, model: Path) -> None:
        self.doors = [_Signature(self, name) for name in (SERVING_DEFAULT, FROM_FILENAMES)]
        self._model = model

    def __enter__(self) -> Self:
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(plain_path(self._model))],
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

    def call(self, signature: str, value: bytes) -> object:
        """What a signature gives for one value: numbers, or why there are none."""
        assert self._process.stdin is not None
        line = json.dumps([signature, base64.b64encode(value).decode()])
        with contextlib.suppress(BrokenPipeError):  # why it has ended is read below
            self._process.stdin.write(line + "\n")
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
        raise StepError(f"plain TensorFlow {failure} {self._model}: {why}")


@dataclasses.dataclass
class _Signature:
    """The door to one signature."""

    process: PlainTensorflow
    signature: str

    @property
    def name(self) -> str:
        """For people."""
        return f"plain TensorFlow, {self.signature}"

    def ask(self, image: bytes) -> Answer:
        """Asks for one photograph; see `Door`."""
        if self.signature == FROM_FILENAMES:
            with tempfile.NamedTemporaryFile() as file:
                file.write(image)
                file.flush()
                given = self.process.call(self.signature, file.name.encode())
        else:
            given = self.process.call(self.signature, image)
        if isinstance(given, str):
            raise StepError(f"{self.name}: {(given.splitlines() or ['no answer'])[0]}")
        return Answer(probabilities_of(given, self.name), None)

    def close(self) -> None:
        """The process ends with its `with` statement."""

"""A step's own process: it imports what the step needs, waits for its work, and can be stopped.

While one step works, the process of the next is started, so that its imports are done when its
turn comes. `python -m pipeline.targets.local.step_process STEP` is that process.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from darkroom.artifacts.code_digest import code_digest
from darkroom.errors import StepError
from darkroom.runtime.log import configure_logging
from darkroom.runtime.run_step import GC_THRESHOLD
from darkroom.runtime.signals import handled_signals
from pipeline.steps import step_named

SECONDS_TO_END = 30.0
"""How long a step that was asked to end may take to: a training saves itself first."""
SECONDS_ALONE = 5.0
"""The same where the run was killed: the next may begin at once."""


class StepProcess:
    """A process that waits for a step's work.

    Args:
        step: The step's name.
    """

    def __init__(self, step: str) -> None:
        self._module = step_named(step).module
        self._source = code_digest(self._module)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.targets.local.step_process", step],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            bufsize=1,
            # A group of its own, in which none is forgotten; Ctrl-C reaches it through us alone.
            start_new_session=True,
            env=os.environ | {"_KFP_RUNTIME": "true"},
        )

    @property
    def is_current(self) -> bool:
        """Whether the step's code is still what the process has imported, or may have."""
        return code_digest(self._module) == self._source

    def work(
        self,
        program: str,
        arguments: Sequence[str],
        environment: dict[str, str],
        on_line: Callable[[str], None],
    ) -> int:
        """Does the work.

        Args:
            program: Python source of the step's component.
            arguments: Of kfp's executor.
            environment: Variables to set.
            on_line: Called with each line that it prints.

        Returns:
            Its exit code.
        """
        work = {"program": program, "arguments": arguments, "environment": environment}
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has died, and has said why
            self._process.stdin.write(json.dumps(work) + "\n")
            self._process.stdin.flush()
        reader = threading.Thread(target=self._read, args=(on_line,), daemon=True)
        reader.start()
        code = self._process.wait()
        self.kill()  # processes that it left, which would keep its output open
        reader.join()
        return code

    def end(self) -> None:
        """Asks it to end, and makes it end if it does not."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(SECONDS_TO_END)
        finally:
            self.kill()

    def kill(self) -> None:
        """Ends it and all processes that it has started, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _read(self, on_line: Callable[[str], None]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            on_line(line)


def main(step: str) -> None:
    """Imports what a step needs, takes its work from standard input, and does it."""
    configure_logging()
    gc.set_threshold(GC_THRESHOLD)
    work: list[bytes] = []
    given = threading.Event()
    threading.Thread(target=_listen, args=(_standard_input(), work, given), daemon=True).start()
    for module in ("kfp.dsl.executor_main", *step_named(step).preloads):
        # What is wrong with it, the step will say.
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    given.wait()
    with _executor_arguments(json.loads(work[0])):
        from kfp.dsl.executor_main import executor_main

        executor_main()


def _standard_input() -> int:
    """Takes standard input away, so that no process that the step starts reads it too."""
    source = os.dup(0)
    with open(os.devnull) as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    return source


def _listen(source: int, work: list[bytes], given: threading.Event) -> None:
    """Takes the work, and ends with the process that gave it, even if that was killed."""
    # No buffered file: Python cannot end while a thread waits in one.
    line = b""
    while chunk := os.read(source, 2**16):
        line += chunk
        if line.endswith(b"\n"):
            work.append(line)
            given.set()
    if work:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(SECONDS_ALONE)
    os.killpg(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def _executor_arguments(work: dict[str, Any]) -> Iterator[None]:
    """Sets the process up as the component's own command would."""
    os.environ.update(work["environment"])
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "ephemeral_component.py"
        program.write_text(work["program"], encoding="utf-8")
        sys.argv[1:] = ["--component_module_path", str(program), *work["arguments"]]
        yield


if __name__ == "__main__":
    main(sys.argv[1])


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InterruptedRunError(StepError):
    """The run was asked to end.

    Attributes:
        exit_code: As shells have it for a command that a signal ended.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class _Asked(BaseException):
    """Passes through whatever handles errors on its way out."""

    def __init__(self, received: signal.Signals) -> None:
        super().__init__()
        self.received = received


@contextlib.contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Turns Ctrl-C, SIGTERM and SIGHUP into an orderly end.

    Raises:
        InterruptedRunError: There was one.
    """

    def end(received: signal.Signals) -> NoReturn:
        raise _Asked(received)

    try:
        with handled_signals(end, _SIGNALS):
            yield
    except _Asked as asked:
        name = "Ctrl-C" if asked.received == signal.SIGINT else asked.received.name
        raise InterruptedRunError(f"interrupted by {name}", 128 + asked.received) from None

"""What a local run shows: a table in a terminal, the steps' log lines, and its log file."""

import contextlib
import datetime
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from darkroom.runtime.log import QUIET_VARIABLE
from pipeline.steps import step_names
from pipeline.target import Run, State, StepState


class Progress:
    """Where the steps of a run stand.

    Args:
        steps: The steps that may run, in order.
        name: The run's name.
        on_change: Called with the run, and how far its step at work is, whenever that changes.
        on_line: Called with what there is to say of a step.
    """

    def __init__(
        self,
        steps: Sequence[str],
        name: str = "",
        on_change: Callable[[Run, str], None] | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self._steps = {step: StepState(step, "pending") for step in steps}
        self._name, self._began = name, _now()
        self._on_change, self._on_line = on_change, on_line
        self.at_work: str | None = None
        self._pace = ""
        self._tell()

    @property
    def is_live(self) -> bool:
        """Whether anyone looks at how far a step is."""
        return self._on_change is not None

    def started(self, step: str) -> None:
        """A step has begun."""
        self.at_work = step
        self._set(StepState(step, "running", started=_now()))

    def ended(self, step: str, state: State) -> None:
        """A step has ended."""
        self.at_work, self._pace = None, ""
        self._set(StepState(step, state, started=self._steps[step].started, finished=_now()))

    def cached(self, step: str, run: str) -> None:
        """A step need not run: an earlier run made what it would make."""
        self._set(StepState(step, "cached"))
        if self._on_line is not None:
            self._on_line(f"[{step}] cached: nothing changed since run {run}")

    def paced(self, pace: str) -> None:
        """The step at work has come so far."""
        self._pace = pace
        self._tell()

    def _set(self, state: StepState) -> None:
        self._steps[state.name] = state
        self._tell()

    def _tell(self) -> None:
        if self._on_change is not None:
            steps = tuple(self._steps.values())
            run = Run(self._name, self._name, "running", "", self._began, steps=steps)
            self._on_change(run, self._pace)


@contextlib.contextmanager
def shown_progress(steps: Sequence[str], name: str, output: TextIO) -> Iterator[Progress]:
    """Shows a run's progress while it runs.

    Args:
        steps: The steps that may run, in order.
        name: The run's name.
        output: A terminal gets a table below the steps' lines.

    Yields:
        What is to be told of it.
    """
    is_quiet = bool(os.environ.get(QUIET_VARIABLE))

    def say(line: str) -> None:
        if not is_quiet:
            print(line, flush=True)

    if is_quiet or not output.isatty():
        yield Progress(steps, name, on_line=say)
        return
    from rich.console import Console
    from rich.live import Live

    from pipeline.watch import StepsTable

    table = StepsTable()

    def show(run: Run, pace: str) -> None:
        table.show(run, lambda: [pace] if pace else [])

    # What is printed meanwhile appears above the table.
    with Live(table, console=Console(file=output), refresh_per_second=1) as live:
        yield Progress(steps, name, show, say)
        live.refresh()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


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
        # On a full disk the terminal still says what went wrong.
        with contextlib.suppress(OSError):
            self._file.write(text)
            self._file.flush()
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if match := _STEP_LINE.match(line):
                print(match[1], file=self._terminal, flush=True)
        return len(text)

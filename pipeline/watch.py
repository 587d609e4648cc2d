"""A run on a cluster, followed to its end: a live table in a terminal, plain lines in a log."""

import contextlib
import datetime
import functools
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol, TextIO

from darkroom.errors import StepError
from pipeline.target import ENDED, ClusterClient, Run, StepState, TransientError

if TYPE_CHECKING:
    from rich.console import RenderableType

FIRST_INTERVAL = 0.5
"""Seconds between the first looks: a run from the cache is over at once."""
INTERVAL = 5.0
"""Seconds between looks at a run that takes its time."""
PATIENCE = 300.0
"""Seconds for which a cluster may be out of reach before the run is no longer followed."""
TAIL_LINES = 10
"""Lines of a step's log that are shown."""
_COLOURS = {"running": "cyan", "succeeded": "green", "cached": "green", "failed": "red"}


def watch_run(cluster: ClusterClient, run: Run, output: TextIO) -> Run:
    """Shows a run until it has ended.

    Args:
        cluster: Where it runs.
        run: The run.
        output: A terminal gets a table that changes; a file, a line for whatever happens.

    Returns:
        The run as it ended.

    Raises:
        StepError: It cannot proceed, or the cluster was out of reach for too long.
    """
    interval = FIRST_INTERVAL
    with _view_on(output) as view:
        while True:
            view.show(run, functools.partial(_tail, cluster, run))
            _check_can_go_on(run)
            if run.state in ENDED:
                return run
            time.sleep(interval)
            interval = min(interval * 1.5, INTERVAL)
            run = _look(cluster, run)


def check_succeeded(run: Run) -> None:
    """Checks how a run ended.

    Raises:
        StepError: It failed or was cancelled; the line says where and why.
    """
    if run.state == "succeeded":
        return
    where = "; ".join(
        f"{step.name}: {step.error or 'no reason given, see its log'}"
        for step in run.steps
        if step.state == "failed"
    )
    reasons = [reason for reason in (where, run.error) if reason]
    raise StepError(f"run {run.id} {run.state}" + "".join(f"; {reason}" for reason in reasons))


class _View(Protocol):
    def show(self, run: Run, tail: Callable[[], list[str]]) -> None:
        """Shows how a run stands; `tail` gets the end of what its step at work printed."""


class _Lines:
    """A line for each change of a step, and the log's end of one that failed."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._shown: dict[str, str] = {}

    def show(self, run: Run, tail: Callable[[], list[str]]) -> None:
        for step in run.steps:
            if self._shown.get(step.name, "pending") != step.state:
                self._shown[step.name] = step.state
                self._print(f"[{step.name}] {step.state}{_took(step)}")
                if step.state == "failed":
                    for line in tail():
                        self._print(f"    {line}")
        if run.state in ENDED:
            self._print(f"run {run.state}")

    def _print(self, line: str) -> None:
        print(line, file=self._output, flush=True)


class StepsTable:
    """A table of the steps that a terminal redraws every second with the time elapsed."""

    def __init__(self) -> None:
        self._run: Run | None = None
        self._tail: list[str] = []

    def show(self, run: Run, tail: Callable[[], list[str]]) -> None:
        """Takes what the next drawing is to show."""
        self._run, self._tail = run, tail()

    def __rich__(self) -> "RenderableType":
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        if self._run is None:
            return Text("")
        table = Table("step", "state", "time", box=None, pad_edge=False, header_style="dim")
        for step in self._run.steps:
            style = _COLOURS.get(step.state, "dim")
            table.add_row(step.name, Text(step.state, style), _duration(step))
        if not self._run.steps:
            table.add_row("-", self._run.state, "")
        return Group(table, *(Text(line, "dim", overflow="ellipsis") for line in self._tail))


@contextlib.contextmanager
def _view_on(output: TextIO) -> Iterator[_View]:
    if not output.isatty():
        yield _Lines(output)
        return
    from rich.console import Console
    from rich.live import Live

    table = StepsTable()
    with Live(table, console=Console(file=output), refresh_per_second=1) as live:
        yield table
        live.refresh()


def _look(cluster: ClusterClient, run: Run) -> Run:
    """The run as it stands now, however long within reason the cluster is out of reach."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return cluster.run(run.id)
        except TransientError:
            if time.monotonic() > until:
                raise
            time.sleep(INTERVAL)


def _tail(cluster: ClusterClient, run: Run) -> list[str]:
    """The end of the log of the step that failed, or else of the one at work."""
    states = {step.state: step for step in run.steps}
    step = states.get("failed") or states.get("running")
    if step is None:
        return []
    try:
        return cluster.log_tail(run.id, step.name, TAIL_LINES)
    except TransientError:
        return []


def _check_can_go_on(run: Run) -> None:
    for step in run.steps:
        if step.error and step.state not in ENDED and run.state not in ENDED:
            raise StepError(f"run {run.id} cannot proceed; {step.name}: {step.error}")


def _took(step: StepState) -> str:
    duration = _duration(step) if step.state in ("succeeded", "failed") else ""
    return f" in {duration}" if duration else ""


def _duration(step: StepState) -> str:
    if step.started is None:
        return ""
    until = step.finished or datetime.datetime.now(datetime.UTC)
    seconds = max(0, round((until - step.started).total_seconds()))
    hours, rest = divmod(seconds, 3600)
    clock = f"{rest // 60:02}:{rest % 60:02}"
    return f"{hours}:{clock}" if hours else clock

"""How a run here gets on: a table in a terminal, the steps' own lines everywhere."""

import contextlib
import datetime
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

from pipeline.cluster_client import Run, State, StepState


class Progress:
    """Where the steps of a run stand.

    Args:
        steps: The steps that may run, in order.
        name: The run's name.
        on_change: Called with the run whenever a step begins or ends.
        on_line: Called with what there is to say of a step.
    """

    def __init__(
        self,
        steps: Sequence[str],
        name: str = "",
        on_change: Callable[[Run], None] | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self._steps = {step: StepState(step, "pending") for step in steps}
        self._name, self._began = name, _now()
        self._on_change, self._on_line = on_change, on_line
        self.at_work: str | None = None
        self._tell()

    def started(self, step: str) -> None:
        """A step has begun."""
        self.at_work = step
        self._set(StepState(step, "running", started=_now()))

    def ended(self, step: str, state: State) -> None:
        """A step has ended."""
        self.at_work = None
        self._set(StepState(step, state, started=self._steps[step].started, finished=_now()))

    def cached(self, step: str, run: str) -> None:
        """A step need not run: an earlier run made what it would make."""
        self._set(StepState(step, "cached"))
        if self._on_line is not None:
            self._on_line(f"[{step}] cached: nothing changed since run {run}")

    def _set(self, state: StepState) -> None:
        self._steps[state.name] = state
        self._tell()

    def _tell(self) -> None:
        if self._on_change is not None:
            steps = tuple(self._steps.values())
            self._on_change(Run(self._name, self._name, "running", "", self._began, steps=steps))


@contextlib.contextmanager
def shown_progress(steps: Sequence[str], name: str, output: TextIO) -> Iterator[Progress]:
    """Shows a run's progress while it goes on.

    Args:
        steps: The steps that may run, in order.
        name: The run's name.
        output: A terminal gets a table below the steps' lines.

    Yields:
        What is to be told of it.
    """

    def say(line: str) -> None:
        print(line, flush=True)

    if not output.isatty():
        yield Progress(steps, name, on_line=say)
        return
    from rich.console import Console
    from rich.live import Live

    from pipeline.watch import StepsTable

    table = StepsTable()
    # What is printed meanwhile appears above the table.
    with Live(table, console=Console(file=output), refresh_per_second=1) as live:
        yield Progress(steps, name, lambda run: table.show(run, list), say)
        live.refresh()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)

"""A pipeline run here through kfp's local runner, each step in a process of its own."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.artifacts.provenance import (
    CHANGED,
    COMMIT_VARIABLE,
    RUN_VARIABLE,
    code_version,
)
from darkroom.errors import StepError
from darkroom.runtime.pace import PROGRESS_MARK, PROGRESS_VARIABLE
from darkroom.runtime.step_record import STARTED_VARIABLE, STEP_RECORDS_VARIABLE, read_step_records
from darkroom.storage.atomic import remove_temporary
from pipeline.targets.local.progress import Progress
from pipeline.targets.local.run_folder import JOURNAL
from pipeline.targets.local.step_process import StepProcess

if TYPE_CHECKING:
    from pipeline.targets.local.cache import ContentCache

LOGS = "logs"


def execute(
    pipeline: Any,
    arguments: Mapping[str, Any],
    folder: Path,
    steps: Sequence[str],
    progress: Progress | None = None,
    cache: "ContentCache | None" = None,
) -> None:
    """Runs a pipeline here.

    Args:
        pipeline: The pipeline (kfp GraphComponent).
        arguments: Its parameters' values.
        folder: Where its steps write, with a folder `journal` in it for their entries and a
            folder `logs` for what each prints.
        steps: Those that may run, in order.
        progress: Told how the steps get on.
        cache: Outcomes that are known; None: every step runs.

    Raises:
        StepError: A step failed.
    """
    from kfp import local

    from pipeline.targets.local.kfp_patches import patched

    for name in (JOURNAL, LOGS):
        (folder / name).mkdir(exist_ok=True)
    local.init(
        local.SubprocessRunner(use_venv=False), pipeline_root=str(folder), raise_on_error=True
    )
    runner = _Runner(folder, steps, progress or Progress(steps), cache)
    with _environment(folder), patched(runner.run, cache), contextlib.ExitStack() as stack:
        stack.callback(runner.end)
        try:
            pipeline(**arguments)
        except RuntimeError as error:
            raise StepError(_failure(folder) or str(error)) from None


class _Runner:
    """Runs the steps' commands, in place of kfp's own way to start a process."""

    def __init__(
        self,
        folder: Path,
        steps: Sequence[str],
        progress: Progress,
        cache: "ContentCache | None",
    ) -> None:
        self._folder, self._steps = folder, steps
        self._progress, self._cache = progress, cache
        self._processes: dict[str, StepProcess] = {}

    def run(self, full_command: Sequence[str], env_vars: Mapping[str, str] | None = None) -> int:
        """Runs the command of a lightweight component.

        Args:
            full_command: As `step_of_command` takes it apart.
            env_vars: What the component sets.

        Returns:
            The exit code.
        """
        from pipeline.targets.local.kfp_patches import step_of_command

        program, executor_input, step = step_of_command(full_command)
        self._progress.started(step)
        if step in self._processes and not self._processes[step].is_current:
            self._processes.pop(step).kill()
        process = self._process(step)
        for following in self._steps[self._steps.index(step) + 1 :][:1]:
            self._process(following)
        if self._cache is not None:
            self._cache.begin(_outputs(executor_input))
        environment = {**(env_vars or {}), STARTED_VARIABLE: str(time.time())}
        if self._progress.is_live:
            environment[PROGRESS_VARIABLE] = "1"
        with (self._folder / LOGS / f"{step}.log").open("a", encoding="utf-8") as log:

            def on_line(line: str) -> None:
                if line.startswith(PROGRESS_MARK):
                    self._progress.paced(line.removeprefix(PROGRESS_MARK).strip())
                    return
                # On a full disk the step itself says what it cannot write.
                with contextlib.suppress(OSError):
                    log.write(line)
                    log.flush()
                sys.stdout.write(line)

            code = process.work(program, full_command[-4:], environment, on_line)
        del self._processes[step]
        self._progress.ended(step, "succeeded" if code == 0 else "failed")
        return code

    def end(self) -> None:
        """Ends whatever still runs, and removes what it has left half written."""
        at_work = self._processes.pop(self._progress.at_work or "", None)
        for process in self._processes.values():
            process.kill()
        try:
            if at_work is not None:
                at_work.end()
        finally:
            remove_temporary(self._folder)

    def _process(self, step: str) -> StepProcess:
        if step not in self._processes:
            self._processes[step] = StepProcess(step)
        return self._processes[step]


def _outputs(executor_input: str) -> dict[str, str]:
    """Where a step is to write its artifacts, by name."""
    artifacts = json.loads(executor_input)["outputs"].get("artifacts", {})
    return {name: listed["artifacts"][0]["uri"] for name, listed in artifacts.items()}


@contextlib.contextmanager
def _environment(folder: Path) -> Iterator[None]:
    """What the steps' processes inherit."""
    root = str(Path(__file__).resolve().parents[3])
    inherited = os.environ.get("PYTHONPATH")
    code = code_version()
    changes = {
        STEP_RECORDS_VARIABLE: str(folder / JOURNAL),
        RUN_VARIABLE: folder.name,
        COMMIT_VARIABLE: f"{code['commit'] or ''}{CHANGED if code['changed'] else ''}",
        "PYTHONPATH": f"{root}{os.pathsep}{inherited}" if inherited else root,
    }
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def _failure(folder: Path) -> str | None:
    """One line about the step that failed, from its journal entry."""
    for entry in read_step_records(folder / JOURNAL):
        log = folder / LOGS / f"{entry['name']}.log"
        if entry["status"] == "failed":
            return f"step {entry['name']} failed: {entry['error']} (log: {log})"
        if entry["status"] == "running":
            return f"step {entry['name']} was killed, perhaps out of memory (log: {log})"
    return None

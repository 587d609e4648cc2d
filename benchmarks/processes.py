"""What whole processes cost: wall time, and the memory of a process and all its children."""

import contextlib
import dataclasses
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import ROOT
from benchmarks.photographs import size_of

RUNS = int(os.environ.get("DARKROOM_BENCHMARK_RUNS", "5"))
"""Counted runs of each case; one more, uncounted, goes before them."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_SAMPLE_SECONDS = 0.05


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one process and its children cost.

    Attributes:
        seconds: Wall time, from start to end.
        largest: Peak resident bytes of the largest single process among them.
        summed: Peak of the resident bytes of all of them together (pages that they share count
            once for each), sampled 20 times a second; 0 where it was not asked for.
        written: Bytes of the examples it left, with their index and manifest.
    """

    seconds: float
    largest: int
    summed: int = 0
    written: int = 0


def cost(
    command: Sequence[str],
    sample_memory: bool = False,
    environment: Mapping[str, str] | None = None,
    exit_code: int = 0,
) -> Cost:
    """Runs a command to its end.

    Args:
        command: The command.
        sample_memory: Whether to sum the memory of all its processes.
        environment: Variables to set.
        exit_code: How it is to end.

    Raises:
        RuntimeError: It ended otherwise; the message ends with its own last lines.
    """
    # What the case before left to write is not to be this one's burden.
    os.sync()
    done = threading.Event()
    peaks = [0]
    with (
        tempfile.TemporaryFile() as output,
        _own_processes(command, output.fileno(), environment or {}) as process,
    ):
        started = time.perf_counter()
        if sample_memory:
            sampling = (process.pid, done, peaks)
            threading.Thread(target=_sample, args=sampling, daemon=True).start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        done.set()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != exit_code:
            output.seek(0)
            tail = output.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"{' '.join(command)} exited with {process.returncode}:\n{tail}")
    return Cost(seconds, usage.ru_maxrss * 1024, peaks[0])


@contextlib.contextmanager
def _own_processes(
    command: Sequence[str], output: int, environment: Mapping[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that leads a group of its own, which ends with the block."""
    process = subprocess.Popen(
        command,
        stdout=output,
        stderr=output,
        cwd=ROOT,
        env={**os.environ, **environment},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _sample(pid: int, done: threading.Event, peaks: list[int]) -> None:
    while not done.wait(_SAMPLE_SECONDS):
        peaks[0] = max(peaks[0], sum(map(resident, _descendants(pid))))


def _descendants(pid: int) -> list[int]:
    """A process and everything below it."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found.extend(map(int, children.read_text().split()))
    return found


def resident(pid: int) -> int:
    """Resident bytes of a process; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def interleaved(
    commands: Mapping[str, Sequence[str]], runs: int = RUNS, sample_memory: bool = False
) -> dict[str, list[Cost]]:
    """Runs the commands in turn, A B C A B C, so that a slower minute slows them alike.

    Args:
        commands: Commands by name. The word `{out}` in one is an empty folder of that run's own,
            removed after it.
        runs: Counted rounds; a round before them fills the caches.
        sample_memory: Whether to sum the memory of all processes of a command.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for turn in range(runs + 1):
        for name, command in commands.items():
            with tempfile.TemporaryDirectory() as out:
                taken = cost([word.replace("{out}", out) for word in command], sample_memory)
                examples = Path(out) / "examples"
                written = size_of(examples if examples.is_dir() else Path(out))
            note = "" if turn else " (not counted)"
            print(f"{turn}/{runs} {name}: {taken.seconds:.2f} s{note}", file=sys.stderr, flush=True)
            if turn:
                costs[name].append(dataclasses.replace(taken, written=written))
    return costs


def on_core(core: int | None) -> list[str]:
    """How a command begins whose process, with all its threads, may use one core alone.

    TensorFlow takes as many threads as there are cores that it may use.

    Args:
        core: Its number; None for all cores.
    """
    return [] if core is None else ["taskset", "--cpu-list", str(core)]


def seconds(costs: Sequence[Cost]) -> list[float]:
    """Wall seconds, run by run."""
    return [cost.seconds for cost in costs]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median, least and most, for a table."""
    median = statistics.median(values)
    return f"{median:,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def verdict(value: float, bound: float, at_least: bool) -> str:
    """What must be reached, and whether it is, for a table."""
    reached = value >= bound if at_least else value <= bound
    return f"{'at least' if at_least else 'at most'} {bound:g}: {'yes' if reached else '**no**'}"


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

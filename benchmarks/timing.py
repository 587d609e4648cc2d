"""Timing of whole processes: what a user waits for."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def wall_seconds(
    arguments: Sequence[str], environment: Mapping[str, str] | None = None, exit_code: int = 0
) -> float:
    """Wall seconds of `python -m ...`.

    Raises:
        RuntimeError: It ended with another exit code; the message ends with its own last lines.
    """
    started = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if ended.returncode != exit_code:
        command = " ".join(arguments)
        raise RuntimeError(f"{command} exited with {ended.returncode}:\n{ended.stderr[-2000:]}")
    print(f"{' '.join(arguments[:5])}: {seconds:.2f} s", file=sys.stderr, flush=True)
    return seconds


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

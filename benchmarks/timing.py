"""Timing of whole processes: what a user waits for."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def median_seconds(arguments: list[str], runs: int = 5) -> tuple[float, float, float]:
    """Median, least and most wall seconds of `python -m ...`, after one run to warm the disk."""
    seconds = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        command = [sys.executable, "-m", *arguments]
        subprocess.run(command, capture_output=True, check=False, cwd=ROOT)
        seconds.append(time.perf_counter() - started)
    counted = seconds[1:]
    return statistics.median(counted), min(counted), max(counted)


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

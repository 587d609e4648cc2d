"""Whether ingest and transform stay flat in memory and linear in time as photographs grow."""

import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.ingest import SCALE, ingest_command
from benchmarks.photographs import photographs
from benchmarks.processes import Cost, cost, interleaved, seconds, spread, table, verdict

# Each above the number that ingest reads without a Beam runner: that weighs by itself.
FEW, MIDDLE, MANY = (round(count * SCALE) for count in (3_000, 12_000, 30_000))
MEBIBYTE = 2**20


def measure() -> str:
    """Runs both steps at each number of photographs, their memory sampled."""
    with tempfile.TemporaryDirectory() as folder:
        commands = {}
        for count in (MANY, MIDDLE, FEW):
            data = photographs(count)
            artifacts = f"{folder}/{count}"
            cost(ingest_command(data, artifacts))
            commands[f"ingest / {count}"] = ingest_command(data, "{out}")
            commands[f"transform / {count}"] = _transform_command(Path(artifacts) / "examples")
        costs = interleaved(commands, sample_memory=True)
    return "\n\n".join(f"{_sizes(step, costs)}\n\n{_bounds(step, costs)}" for step in _STEPS)


_STEPS = ("ingest", "transform")


def _transform_command(examples: Path) -> list[str]:
    command = [sys.executable, "-m", "components.transform", "--examples", str(examples)]
    outputs = ["--transform-graph", "{out}/graph", "--transformed-examples", "{out}/transformed"]
    return [*command, *outputs]


def _sizes(step: str, costs: dict[str, list[Cost]]) -> str:
    rows = []
    for count in (FEW, MIDDLE, MANY):
        taken = costs[f"{step} / {count}"]
        memory = (
            [part.largest / MEBIBYTE for part in taken],
            [part.summed / MEBIBYTE for part in taken],
        )
        rows.append([f"{count:,}", spread(seconds(taken)), *(spread(part, 0) for part in memory)])
    header = [step, "seconds", "largest process, MiB", "all processes, MiB"]
    return table(header, rows)


def _bounds(step: str, costs: dict[str, list[Cost]]) -> str:
    few, middle, many = (costs[f"{step} / {count}"] for count in (FEW, MIDDLE, MANY))
    largest = statistics.median(part.largest for part in many) / statistics.median(
        part.largest for part in few
    )
    summed = statistics.median(part.summed for part in many) / statistics.median(
        part.summed for part in few
    )
    growth = [
        (c - b) / (MANY - MIDDLE) / ((b - a) / (MIDDLE - FEW))
        for a, b, c in zip(seconds(few), seconds(middle), seconds(many), strict=True)
    ]
    flat = f"{step}: peak at {MANY:,} / at {FEW:,}"
    linear = (
        f"{step}: time of one more photograph between {MIDDLE:,} and {MANY:,}"
        f" / between {FEW:,} and {MIDDLE:,}"
    )
    rows = [
        [f"{flat}, largest process", f"{largest:.2f}", verdict(largest, 1.3, False)],
        [f"{flat}, all processes", f"{summed:.2f}", verdict(summed, 1.3, False)],
        [linear, spread(growth), verdict(statistics.median(growth), 1.15, False)],
    ]
    return table(["figure", "median", "must be"], rows)

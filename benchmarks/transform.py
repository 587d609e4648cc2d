"""Transform against a bare tf.data decode-and-resize loop, at the margin and in bytes."""

import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks import ROOT
from benchmarks.ingest import SCALE, ingest_command
from benchmarks.photographs import photographs
from benchmarks.processes import Cost, cost, interleaved, seconds, spread, table, verdict

FEW, MANY = round(2_000 * SCALE), round(20_000 * SCALE)
SIDE = 160


def measure() -> str:
    """Runs both sides in turn over the same examples."""
    with tempfile.TemporaryDirectory() as folder:
        commands = {}
        for count in (FEW, MANY):
            cost(ingest_command(photographs(count), f"{folder}/{count}"))
            examples = Path(folder) / str(count) / "examples"
            commands[f"transform / {count}"] = _transform_command(examples)
            commands[f"bare / {count}"] = _bare_command(examples)
        costs = interleaved(commands)
    rows = [
        [
            name,
            *(spread(part) for part in (seconds(costs[f"{key} / {FEW}"]), _at_margin(costs, key))),
        ]
        for name, key in (("transform", "transform"), ("bare tf.data loop", "bare"))
    ]
    header = ["", f"seconds for {FEW:,}", f"seconds for {MANY - FEW:,} more"]
    return f"{table(header, rows)}\n\n{_bounds(costs)}"


def _transform_command(examples: Path) -> list[str]:
    command = [sys.executable, "-m", "components.transform", "--examples", str(examples)]
    # What `interleaved` takes the size of is called `examples`.
    outputs = ["--transform-graph", "{out}/graph", "--transformed-examples", "{out}/examples"]
    return [*command, *outputs, "--settings", f'{{"image_size": {SIDE}}}']


def _bare_command(examples: Path) -> list[str]:
    loop = ROOT / "benchmarks" / "peers" / "decode_and_resize.py"
    return [sys.executable, str(loop), str(examples), str(SIDE)]


def _at_margin(costs: dict[str, list[Cost]], name: str) -> list[float]:
    few, many = (seconds(costs[f"{name} / {count}"]) for count in (FEW, MANY))
    return [b - a for a, b in zip(few, many, strict=True)]


def _bounds(costs: dict[str, list[Cost]]) -> str:
    ours, bare = _at_margin(costs, "transform"), _at_margin(costs, "bare")
    rates = [b / a for a, b in zip(ours, bare, strict=True)]
    pixels = MANY * SIDE * SIDE * 3
    written = statistics.median(part.written for part in costs[f"transform / {MANY}"]) / pixels
    rate = statistics.median(rates)
    rows = [
        ["rate at the margin / the bare loop's", spread(rates), verdict(rate, 0.83, True)],
        ["bytes written / bytes of uint8 pixels", f"{written:.3f}", verdict(written, 1.2, False)],
    ]
    return table(["figure", "median", "must be"], rows)

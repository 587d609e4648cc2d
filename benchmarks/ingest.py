"""Ingest beside a bare loop, the textbook design and tensorflow-datasets, on the same files."""

import dataclasses
import importlib.util
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import ROOT
from benchmarks.photographs import FLOWERS, VARIATION, photographs, size_of
from benchmarks.processes import RUNS, Cost, cost, interleaved, seconds, spread, table, verdict
from darkroom.artifacts.examples import IMAGE_PATH, SPLITS, read_examples
from darkroom.records.example_proto import parsed_example
from darkroom.records.tfrecord import read_records

SCALE = float(os.environ.get("DARKROOM_BENCHMARK_SCALE", "1"))
"""Multiplies the numbers of photographs: 0.01 tries a benchmark out."""
SETTINGS = json.loads(os.environ.get("DARKROOM_BENCHMARK_INGEST", "{}"))
"""Settings of ingest that differ from its defaults."""
OURS, BARE, GREY = "Darkroom", "bare loop", "bare loop, grey pixels only"
TEXTBOOK, TENSOR = "textbook, list of floats", "textbook, one tensor"
DATASETS = "tensorflow-datasets"

_PEERS = ROOT / "benchmarks" / "peers"


def ingest_command(data: Path, out: str, **settings: object) -> list[str]:
    """The ingest step as a user runs it, its artifacts in `out`."""
    outputs = ("examples", "rejected", "statistics")
    named = [word for name in outputs for word in (f"--{name}", f"{out}/{name}")]
    given = json.dumps(SETTINGS | settings)
    command = [sys.executable, "-m", "components.ingest", "--data", str(data)]
    return [*command, "--settings", given, *named]


@dataclasses.dataclass(frozen=True)
class Peer:
    """A program that is measured at two numbers of photographs: the difference is the margin.

    Attributes:
        script: File in `benchmarks/peers/`, or nothing for Darkroom itself.
        few: The smaller number of photographs.
        many: The larger.
        options: Further arguments.
    """

    script: str
    few: int
    many: int
    options: tuple[str, ...] = ()

    @property
    def counts(self) -> tuple[int, int]:
        """Both numbers, scaled."""
        return round(self.few * SCALE), round(self.many * SCALE)

    def command(self, data: Path) -> list[str]:
        """The command that takes the photographs in `data`."""
        if not self.script:
            return ingest_command(data, "{out}")
        return [sys.executable, str(_PEERS / self.script), str(data), "{out}", *self.options]

    def rates(self, few: Sequence[Cost], many: Sequence[Cost]) -> list[float]:
        """Photographs a second at the margin, round by round."""
        more = self.counts[1] - self.counts[0]
        return [more / (b - a) for a, b in zip(seconds(few), seconds(many), strict=True)]


PEERS = {
    OURS: Peer("", 10_000, 60_000),
    BARE: Peer("bare_loop.py", 10_000, 60_000),
    GREY: Peer("bare_loop.py", 10_000, 60_000, ("--grey",)),
    DATASETS: Peer("tfds_builder.py", 2_000, 20_000),
    TEXTBOOK: Peer("textbook.py", 100, 400),
    TENSOR: Peer("textbook.py", 100, 400, ("--tensor",)),
}


def measure() -> str:
    """Whole processes, at the margin and on the flowers as they are."""
    peers = dict(PEERS)
    missing = ""
    if importlib.util.find_spec("tensorflow_datasets") is None:
        del peers[DATASETS]
        missing = "\n\ntensorflow-datasets is not installed here, and was left out."
    commands = {
        f"{name} / {count}": peer.command(photographs(count))
        for name, peer in peers.items()
        for count in sorted(peer.counts, reverse=True)
    }
    for name in (OURS, BARE):
        commands[f"{name} / flowers"] = PEERS[name].command(FLOWERS)
    costs = interleaved(commands)
    return "\n\n".join([_margins(peers, costs), _ratios(peers, costs), _conditions()]) + missing


def _margins(peers: dict[str, Peer], costs: dict[str, list[Cost]]) -> str:
    rows = []
    for name, peer in peers.items():
        few, many = (costs[f"{name} / {count}"] for count in peer.counts)
        growth = many[-1].written / size_of(photographs(peer.counts[1]))
        rows.append(
            [
                name,
                f"{peer.counts[0]:,}: {spread(seconds(few))}",
                f"{peer.counts[1]:,}: {spread(seconds(many))}",
                spread(peer.rates(few, many), 0),
                f"{growth:.3f}",
            ]
        )
    header = ["ingest", "seconds for few", "seconds for many", "photographs/s at the margin"]
    return table([*header, "bytes out / in"], rows)


def _ratios(peers: dict[str, Peer], costs: dict[str, list[Cost]]) -> str:
    rates = {
        name: peer.rates(*(costs[f"{name} / {count}"] for count in peer.counts))
        for name, peer in peers.items()
    }
    bounds = {BARE: 0.6, GREY: 0.0, DATASETS: 1.5, TEXTBOOK: 20.0, TENSOR: 20.0}
    rows = []
    for name in rates.keys() - {OURS}:
        ratios = [ours / theirs for ours, theirs in zip(rates[OURS], rates[name], strict=True)]
        must = verdict(statistics.median(ratios), bounds[name], True) if bounds[name] else ""
        rows.append([f"rate / rate of {name}", spread(ratios, 3), must])
    rows.sort()
    ours, bare = (seconds(costs[f"{name} / flowers"]) for name in (OURS, BARE))
    ratios = [a / b for a, b in zip(ours, bare, strict=True)]
    flowers = f"flowers as they are: {spread(ours)} s / {spread(bare)} s of {BARE}"
    rows.append([flowers, spread(ratios), verdict(statistics.median(ratios), 3, False)])
    growth = _growth()
    rows.append(
        [
            "flowers: bytes of examples / of their photographs",
            f"{growth:.4f}",
            verdict(growth, 1.03, False),
        ]
    )
    return table(["figure", "median (least to most)", "must be"], rows)


def _growth() -> float:
    """Bytes of the whole examples artifact over those of the photographs that are in it."""
    with tempfile.TemporaryDirectory() as folder:
        cost(ingest_command(FLOWERS, folder))
        examples = read_examples(Path(folder) / "examples")
        paths: Iterator[str] = (
            parsed_example(record)[IMAGE_PATH][0].decode()
            for split in SPLITS
            for shard in examples.shards(split)
            for record in read_records(shard)
        )
        came_in = sum((FLOWERS / path).stat().st_size for path in paths)
        return size_of(examples.folder) / came_in


def _conditions() -> str:
    settings = f"settings {json.dumps(SETTINGS)}" if SETTINGS else "default settings"
    load = os.getloadavg()[0]
    return (
        f"{RUNS} rounds after one uncounted, interleaved; photographs altered in their "
        f"{VARIATION}; {settings}; {os.cpu_count()} cores; load {load:.1f} at the end."
    )

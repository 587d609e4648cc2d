"""Ingest and predict on one and on two Dask workers of one core each, at the margin."""

import contextlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from benchmarks.evaluate import exported_model
from benchmarks.ingest import SCALE, ingest_command
from benchmarks.photographs import photographs
from benchmarks.predict import predict_command
from benchmarks.processes import interleaved, on_core, seconds, spread, table, verdict

FEW, MANY = round(2_000 * SCALE), round(20_000 * SCALE)


def measure() -> str:
    """Starts both clusters, and runs each step on each in turn; one that waits costs nothing."""
    with (
        tempfile.TemporaryDirectory() as made,
        _cluster(cores=[0]) as one,
        _cluster(cores=[0, 1]) as two,
    ):
        model = exported_model(Path(made) / "model")
        commands = {
            f"{step}, {name} / {count}": command
            for name, address in (("one", one), ("two", two))
            for count in (MANY, FEW)
            for step, command in _commands(model, photographs(count), address).items()
        }
        costs = interleaved(commands)
    times = {name: seconds(taken) for name, taken in costs.items()}
    rows = [row for step in ("ingest", "predict") for row in _rows(step, times)]
    return table(["on Dask", "median (least to most)", "must be"], rows)


def _commands(model: Path, data: Path, address: str) -> dict[str, list[str]]:
    options = ["--runner=DaskRunner", f"--dask_client_address={address}"]
    return {
        "ingest": ingest_command(data, "{out}", beam_options=options),
        "predict": predict_command(model, data, *options),
    }


def _rows(step: str, times: dict[str, list[float]]) -> list[list[str]]:
    few, many = (
        {name: times[f"{step}, {name} / {count}"] for name in ("one", "two")}
        for count in (FEW, MANY)
    )
    margins = {
        name: [b - a for a, b in zip(few[name], many[name], strict=True)] for name in ("one", "two")
    }
    ratios = [a / b for a, b in zip(margins["one"], margins["two"], strict=True)]
    must = verdict(statistics.median(ratios), 1.6, True)
    return [
        *(
            [f"{step}, {name} / {count}: s", spread(taken[name]), ""]
            for name in margins
            for count, taken in ((FEW, few), (MANY, many))
        ),
        [f"{step}: rate of two workers / of one, at the margin", spread(ratios), must],
    ]


@contextlib.contextmanager
def _cluster(cores: list[int]) -> Iterator[str]:
    """A scheduler, and a worker on each of some cores; gives the scheduler's address."""
    import distributed

    untyped: Any = distributed
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(untyped.LocalCluster(n_workers=0, dashboard_address=None))
        address = cluster.scheduler_address
        # A program of its own, so that the core is its own from its first thread on.
        command = [sys.executable, "-m", "distributed.cli.dask_worker", address]
        command += ["--nthreads", "1", "--no-dashboard", "--death-timeout", "60"]
        for core in cores:
            words = [*on_core(core), *command]
            worker = stack.enter_context(
                subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL)
            )
            stack.callback(worker.terminate)
        with untyped.Client(address) as client:
            client.wait_for_workers(len(cores), timeout=60)
        yield address

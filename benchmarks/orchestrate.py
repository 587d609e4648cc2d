"""What the commands around the steps cost: compile, submit, a rerun, the steps' own start-up."""

import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from benchmarks import ROOT
from benchmarks.graph import DATA, WEIGHTS
from benchmarks.processes import RUNS, cost, seconds, spread, table, verdict

DIGITS, FLOWERS = "configs/digits.yaml", "configs/flowers.yaml"
_DARKROOM = [sys.executable, "-m", "pipeline.cli.main"]


def measure() -> str:
    """Times the commands, whole processes each."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [*_compiling(folder), *_submitting(folder), *_running(folder)]
    return table(["figure", "median", "must be"], rows)


def _compiling(folder: str) -> Iterator[list[str]]:
    for target in ("kfp", "vertex"):
        file = f"{folder}/{target}.yaml"
        command = [*_DARKROOM, "compile", DIGITS, "--target", target, "-o", file]
        taken = seconds([cost(command) for _ in range(RUNS + 1)][1:])
        median = statistics.median(taken)
        yield [f"darkroom compile --target {target}, s", spread(taken), verdict(median, 5, False)]


def _submitting(folder: str) -> Iterator[list[str]]:
    for target, stand_in in (("kfp", _kubeflow), ("vertex", _vertex)):
        config = Path(folder, "digits.yaml")
        with stand_in(Path(folder)) as (cluster, environment):
            text = (ROOT / DIGITS).read_text()
            config.write_text(f"{text}\n{yaml.safe_dump({'cluster': {target: cluster}})}")
            command = [*_DARKROOM, "submit", str(config), "--target", target]
            taken = seconds([cost(command, environment=environment) for _ in range(RUNS + 1)][1:])
        median = statistics.median(taken)
        figure = f"darkroom submit --target {target}, with compiling, to a server here, s"
        yield [figure, spread(taken), verdict(median, 3, False)]


def _running(folder: str) -> Iterator[list[str]]:
    _, digits = _run(DIGITS, f"{folder}/digits")
    started = sum(step["startup_seconds"] for step in digits["steps"])
    part = started / digits["seconds"]
    yield ["digits: steps' start-up / wall time", f"{part:.2f}", verdict(part, 0.3, False)]
    yield ["digits: wall time, s", f"{digits['seconds']:.1f}", ""]
    given = ["--data", DATA, "--set", f"train.weights={WEIGHTS}", "--set", "train.epochs=1"]
    given += ["--set", "train.fine_tune_epochs=0", "--set", "evaluate.thresholds={}"]
    _run(FLOWERS, f"{folder}/flowers", *given)
    taken, again = _run(FLOWERS, f"{folder}/flowers", *given)
    states = ", ".join(sorted({step["status"] for step in again["steps"]}))
    yield [f"flowers: a rerun without a change ({states}), s", f"{taken:.1f}", "at most 15"]


def _run(config: str, out: str, *arguments: str) -> tuple[float, dict[str, Any]]:
    """Seconds of `darkroom run`, and the run.json it left last."""
    taken = cost([*_DARKROOM, "run", config, "--out", out, *arguments]).seconds
    file = max(Path(out).glob("*/run.json"), key=lambda path: path.stat().st_mtime)
    run: dict[str, Any] = json.loads(file.read_text())
    return taken, run


@contextmanager
def _kubeflow(folder: Path) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """The tests' stand-in for Kubeflow, the settings that lead to it and its environment."""
    from pipeline.tests.kubeflow_server import TOKEN, kubeflow_server

    token_file = folder / "token"
    token_file.write_text(TOKEN)
    with kubeflow_server() as server:
        yield {"host": server.url, "token_file": str(token_file)}, {}


@contextmanager
def _vertex(folder: Path) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """The same of Vertex."""
    from darkroom.tests.google_account import account_file, made_keys
    from pipeline.tests.vertex_checks import ACCOUNT, LOCATION, PROJECT
    from pipeline.tests.vertex_server import VertexServer

    served, account = made_keys(), made_keys()
    roots, key_file = folder / "roots.pem", folder / "account.json"
    roots.write_bytes(served.certificate)
    key_file.write_text(account_file(account, PROJECT))
    environment = {
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(roots),
        "GOOGLE_APPLICATION_CREDENTIALS": str(key_file),
    }
    server = VertexServer(*served, account.certificate)
    try:
        settings = {
            "project": PROJECT,
            "location": LOCATION,
            "endpoint": server.endpoint,
            "pipeline_root": "gs://my-bucket/darkroom",
            "service_account": ACCOUNT,
        }
        yield settings, environment
    finally:
        server.stop()

"""Training beside a bare scan of its records and a bare Keras script; its workers; its memory."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from benchmarks.graph import WEIGHTS
from benchmarks.ingest import SCALE, ingest_command
from benchmarks.photographs import FLOWERS, photographs
from benchmarks.processes import RUNS, cost, spread, table, verdict

SIDE, BATCH = 160, 32
FEED_BATCHES, WAIT_BATCHES = round(3_000 * SCALE), round(150 * SCALE)
FEW, MANY = round(2_000 * SCALE), round(20_000 * SCALE)
EPOCHS, WORKERS_EPOCHS = 3, 6
"""Epochs that are timed but the first of each, which compiles."""
BACKBONE = {"backbone": "MobileNetV2", "alpha": 0.35, "weights": WEIGHTS}
PLAIN = {**BACKBONE, "dropout": 0.2, "label_smoothing": 0.1, "batch_size": BATCH}
"""What `peers/bare_keras.py` does."""
AUGMENTED = {
    "flip": True,
    "rotation": 0.05,
    "zoom": 0.1,
    "brightness": 0.1,
    "contrast": 0.2,
    "saturation": 0.2,
}
MEBIBYTE = 2**20


def measure() -> str:
    """Runs the comparisons one after the other, each of them in turns."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = _prepare(FLOWERS, Path(folder), SIDE)
        few, many = (_prepare(photographs(n), Path(folder), SIDE) for n in (FEW, MANY))
        parts = [
            _feed("the flowers", prepared, Path(folder)),
            _feed(f"{MANY:,} photographs", many, Path(folder)),
            _wait(prepared, Path(folder)),
            _epochs(prepared, Path(folder)),
            _workers(prepared, Path(folder)),
            _memory({FEW: few, MANY: many}, Path(folder)),
        ]
    rows = [row for part in parts for row in part]
    return table(["figure", "median", "must be"], rows)


def _prepare(data: Path, folder: Path, side: int) -> list[str]:
    """Ingests and transforms; the arguments that name what came of it."""
    name = f"{data.name}-{side}"
    cost(ingest_command(data, f"{folder}/{name}"))
    graph, transformed = f"{folder}/{name}/graph", f"{folder}/{name}/transformed"
    step = [sys.executable, "-m", "components.transform", "--settings", f'{{"image_size": {side}}}']
    outputs = ["--transform-graph", graph, "--transformed-examples", transformed]
    cost([*step, "--examples", f"{folder}/{name}/examples", *outputs])
    return ["--transformed-examples", transformed, "--transform-graph", graph]


def _feed(name: str, prepared: Sequence[str], folder: Path) -> list[list[str]]:
    """The flowers' passes are shuffled whole; the large set's are shuffled as they are read."""
    _, transformed, _, graph = prepared
    script = str(ROOT / "benchmarks" / "peers" / "record_scan.py")
    rates = []
    for turn in range(RUNS + 1):
        ours = _batches("feed", transformed, graph, folder, {}, FEED_BATCHES)[0]
        bare = [sys.executable, script, transformed, str(SIDE), str(FEED_BATCHES)]
        scan = _numbers(bare)[0]
        _say(f"{turn}/{RUNS} {name}: feed {ours:.2f} s, scan {scan:.2f} s")
        if turn:
            rates.append(scan / ours)
    figure = f"{name}: rate of the batches / of a bare scan"
    return [[figure, spread(rates), verdict(statistics.median(rates), 0.8, True)]]


def _wait(prepared: Sequence[str], folder: Path) -> list[list[str]]:
    _, transformed, _, graph = prepared
    settings, waits = {"augmentation": AUGMENTED}, []
    for turn in range(RUNS + 1):
        waited, whole = _batches("wait", transformed, graph, folder, settings, WAIT_BATCHES)
        _say(f"{turn}/{RUNS} waits {waited / whole:.1%}")
        if turn:
            waits.append(waited / whole)
    wait = statistics.median(waits)
    figure = "part of a step spent waiting for a batch"
    return [[figure, spread(waits, 3), verdict(wait, 0.05, False)]]


def _batches(
    mode: str, transformed: str, graph: str, folder: Path, settings: dict[str, Any], count: int
) -> list[float]:
    file = folder / "settings.json"
    file.write_text(json.dumps({**PLAIN, **settings}))
    program = [sys.executable, "-m", "benchmarks.batches", mode]
    return _numbers([*program, transformed, graph, str(file), str(count)])


def _numbers(command: Sequence[str]) -> list[float]:
    """The numbers in the last line that a program prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return [float(word) for word in done.stdout.splitlines()[-1].split()]


def _epochs(prepared: Sequence[str], folder: Path) -> list[list[str]]:
    script = str(ROOT / "benchmarks" / "peers" / "bare_keras.py")
    bare = [sys.executable, script, prepared[1], str(SIDE), WEIGHTS, str(EPOCHS)]
    settings = {**PLAIN, "epochs": 1, "fine_tune_epochs": EPOCHS}
    ratios = []
    for turn in range(RUNS + 1):
        ours = statistics.median(_fine_tuning(_train(prepared, folder, settings))[1:])
        theirs = statistics.median(_numbers(bare)[1:])
        _say(f"{turn}/{RUNS} an epoch: {ours:.2f} s, bare Keras {theirs:.2f} s")
        if turn:
            ratios.append(ours / theirs)
    ratio = statistics.median(ratios)
    return [["seconds an epoch / bare Keras's", spread(ratios), verdict(ratio, 1.1, False)]]


def _workers(prepared: Sequence[str], folder: Path) -> list[list[str]]:
    """Two workers on a core each, between trainings of one on one with the same batch a worker."""

    def epoch(workers: int) -> float:
        settings = {**PLAIN, "epochs": 1, "fine_tune_epochs": WORKERS_EPOCHS}
        settings["batch_size"] = workers * BATCH
        seconds = statistics.median(_fine_tuning(_train(prepared, folder, settings, workers))[1:])
        _say(f"an epoch of {workers} on a core each: {seconds:.2f} s")
        return seconds

    ones, ratios = [epoch(1)], []
    for _ in range(min(RUNS, 3)):
        two = epoch(2)
        ones.append(epoch(1))
        # An epoch of two takes half the steps.
        ratios.append(statistics.mean(ones[-2:]) / (2 * two))
    ratio = statistics.median(ratios)
    return [["steps/s of two workers / of one", spread(ratios), verdict(ratio, 0.8, True)]]


def _train(
    prepared: Sequence[str], folder: Path, settings: dict[str, Any], workers: int | None = None
) -> dict[str, Any]:
    """Runs the train step, on a core a worker if workers are given; its history."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        command = [sys.executable, "-m", "components.train", *prepared]
        command += ["--settings", json.dumps(settings)]
        outputs = ["--model", f"{out}/model", "--checkpoints", f"{out}/checkpoints"]
        processes = []
        for number in range(workers or 1):
            environment = dict(os.environ)
            pinned = ["taskset", "--cpu-list", str(number)] if workers else []
            if workers and workers > 1:
                environment["TF_CONFIG"] = _tf_config(number, workers)
            processes.append(
                subprocess.Popen(
                    [*pinned, *command, *outputs],
                    env=environment,
                    cwd=ROOT,
                    stderr=subprocess.DEVNULL,
                )
            )
        if any(process.wait() for process in processes):
            raise RuntimeError("a worker failed")
        history: dict[str, Any] = json.loads(Path(out, "model", "history.json").read_text())
        return history


def _tf_config(number: int, workers: int) -> str:
    ports = [f"127.0.0.1:{29_500 + worker}" for worker in range(workers)]
    return json.dumps({"cluster": {"worker": ports}, "task": {"type": "worker", "index": number}})


def _fine_tuning(history: dict[str, Any]) -> list[float]:
    """Seconds of every epoch of the second phase."""
    return [e["seconds"] for e in history["epochs"] if e["phase"] == "fine_tune"]


def _memory(sets: Mapping[int, Sequence[str]], folder: Path) -> list[list[str]]:
    settings = json.dumps({**PLAIN, "weights": "none", "epochs": 1})
    peaks: dict[int, list[int]] = {FEW: [], MANY: []}
    for count, prepared in sets.items():
        command = [sys.executable, "-m", "components.train", *prepared, "--settings", settings]
        outputs = ["--model", "{out}/model", "--checkpoints", "{out}/checkpoints"]
        for _ in range(min(RUNS, 3)):
            with tempfile.TemporaryDirectory(dir=folder) as out:
                taken = cost([word.replace("{out}", out) for word in [*command, *outputs]])
            _say(f"{count:,} photographs: {taken.largest / MEBIBYTE:,.0f} MiB")
            peaks[count].append(taken.largest)
    ratio = statistics.median(peaks[MANY]) / statistics.median(peaks[FEW])
    figure = f"peak memory at {MANY:,} photographs / at {FEW:,}"
    return [[figure, f"{ratio:.2f}", verdict(ratio, 1.2, False)]]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

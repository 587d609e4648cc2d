"""The model server beside calls of the model in a process: latency, throughput and start."""

import base64
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from benchmarks.evaluate import exported_model
from benchmarks.photographs import FLOWERS
from benchmarks.processes import RUNS, spread, table, verdict

PORT, GRPC_PORT = 18501, 18500
PHOTOGRAPHS, CLIENTS, SECONDS = 200, 16, 10.0
_ADDRESS = f"http://127.0.0.1:{PORT}"
_BARE_START = "import sys, tensorflow as tf; tf.saved_model.load(sys.argv[1])"


def measure() -> str:
    """Serves one model, and asks it in turn with the model in this process."""
    images = [path.read_bytes() for path in sorted(FLOWERS.glob("*/*.jpg"))[:PHOTOGRAPHS]]
    with tempfile.TemporaryDirectory() as folder:
        model = exported_model(Path(folder) / "model")
        starts = [(_seconds_to_ready(model), _seconds_to_load(model)) for _ in range(RUNS)]
        with _server(model), _doors(model) as doors:
            for door in doors.values():
                _median(door, images[:20])  # warm
            latencies: dict[str, list[float]] = {name: [] for name in doors}
            rates: dict[str, list[float]] = {"16 clients": [], "bare, batches of 16": []}
            for _ in range(RUNS):
                for name, door in doors.items():
                    latencies[name].append(_median(door, images) * 1000)
                rates["16 clients"].append(_rate_of_clients(images))
                rates["bare, batches of 16"].append(_rate_of_batches(model, images))
    return _report(latencies, rates, starts)


def _report(
    latencies: dict[str, list[float]],
    rates: dict[str, list[float]],
    starts: Sequence[tuple[float, float]],
) -> str:
    bare, rest, grpc = (latencies[name] for name in ("bare", "REST", "gRPC"))
    over = [r - 1.3 * b for r, b in zip(rest, bare, strict=True)]
    clients, batches = rates.values()
    share = [c / b for c, b in zip(clients, batches, strict=True)]
    beside = [g / r for g, r in zip(grpc, rest, strict=True)]
    ratios = [ready / load for ready, load in starts]
    rows = [
        *([f"one photograph, {name}: ms", spread(each), ""] for name, each in latencies.items()),
        [
            "REST less 1.3 times the bare call: ms",
            spread(over),
            verdict(statistics.median(over), 2, False),
        ],
        ["gRPC / REST", spread(beside), verdict(statistics.median(beside), 1, False)],
        *([f"{name}: photographs/s", spread(each, 0), ""] for name, each in rates.items()),
        [
            "16 clients / batches of 16 in a process",
            spread(share),
            verdict(statistics.median(share), 0.85, True),
        ],
        [
            "start to ready / TensorFlow imported and the model loaded",
            spread(ratios),
            verdict(statistics.median(ratios), 1.5, False),
        ],
    ]
    return table(["serve", "median (least to most)", "must be"], rows)


@contextlib.contextmanager
def _server(model: Path) -> Iterator[None]:
    import httpx

    command = [sys.executable, "-m", "components.serve", str(model), "--name", "model"]
    ports = ["--port", str(PORT), "--grpc-port", str(GRPC_PORT)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*command, *ports], cwd=ROOT, **quiet)  # type: ignore[call-overload]
    try:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{_ADDRESS}/v2/health/ready").status_code == 200:
                    break
            if process.poll() is not None:
                raise RuntimeError("the server ended")
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _seconds_to_ready(model: Path) -> float:
    started = time.perf_counter()
    with _server(model):
        return time.perf_counter() - started


def _seconds_to_load(model: Path) -> float:
    started = time.perf_counter()
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-c", _BARE_START, str(model)], check=True, env=quiet)
    return time.perf_counter() - started


@contextlib.contextmanager
def _doors(model: Path) -> Iterator[dict[str, Callable[[bytes], Any]]]:
    """The ways to ask for one photograph."""
    import grpc
    import httpx
    import tensorflow as tf
    from tensorflow_serving.apis.predict_pb2 import PredictRequest
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

    signature = tf.saved_model.load(str(model)).signatures["serving_default"]
    with (
        httpx.Client(base_url=_ADDRESS) as client,
        grpc.insecure_channel(f"127.0.0.1:{GRPC_PORT}") as channel,
    ):
        stub = PredictionServiceStub(channel)

        def by_grpc(image: bytes) -> None:
            request = PredictRequest()
            request.model_spec.name = "model"
            request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([image]))
            stub.Predict(request)

        yield {
            "bare": lambda image: signature(image_bytes=tf.constant([image])),
            "REST": lambda image: _by_rest(client, image),
            "gRPC": by_grpc,
        }


def _by_rest(client: Any, image: bytes) -> None:
    body = {"instances": [{"b64": base64.b64encode(image).decode()}]}
    client.post("/v1/models/model:predict", json=body).raise_for_status()


def _median(door: Callable[[bytes], Any], images: Sequence[bytes]) -> float:
    taken = []
    for image in images:
        started = time.perf_counter()
        door(image)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def _rate_of_clients(images: Sequence[bytes]) -> float:
    """Photographs a second that clients get answers to, all at once, each one at a time."""
    import httpx

    until = time.perf_counter() + SECONDS

    def client(number: int) -> int:
        count = 0
        with httpx.Client(base_url=_ADDRESS) as opened:
            while time.perf_counter() < until:
                _by_rest(opened, images[(number + count) % len(images)])
                count += 1
        return count

    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as threads:
        total = sum(threads.map(client, range(CLIENTS)))
    return total / (time.perf_counter() - started)


def _rate_of_batches(model: Path, images: Sequence[bytes]) -> float:
    """Photographs a second of one process that calls the model itself, 16 at a time."""
    import tensorflow as tf

    signature = tf.saved_model.load(str(model)).signatures["serving_default"]
    batches = [images[at : at + CLIENTS] for at in range(0, len(images) - CLIENTS, CLIENTS)]
    signature(image_bytes=tf.constant(batches[0]))
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS:
        for batch in batches:
            signature(image_bytes=tf.constant(batch))
            count += len(batch)
    return count / (time.perf_counter() - started)

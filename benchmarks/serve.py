"""The model server beside the model in a process and a peer: latency, throughput, start."""

import base64
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from benchmarks.clients import PHOTOGRAPHS, answers
from benchmarks.evaluate import exported_model
from benchmarks.photographs import FLOWERS
from benchmarks.processes import RUNS, on_core, spread, table, verdict

PORT, GRPC_PORT, PEER_PORT = 18501, 18500, 18502
CLIENTS, SECONDS = 16, 10.0
_BARE_START = "import sys, tensorflow as tf; tf.saved_model.load(sys.argv[1])"
_PEER = ROOT / "benchmarks" / "peers" / "fastapi_server.py"


def measure() -> str:
    """Serves one model, and asks it in turn with the model in this process."""
    images = [path.read_bytes() for path in sorted(FLOWERS.glob("*/*.jpg"))[:PHOTOGRAPHS]]
    with tempfile.TemporaryDirectory() as folder:
        model = exported_model(Path(folder) / "model")
        starts = [(_seconds_to_ready(model), _seconds_to_load(model)) for _ in range(RUNS)]
        with server(model), _peer(model), _doors(model) as doors:
            for door in doors.values():
                _median(door, images[:20])  # warm
            for port in (PORT, PEER_PORT):
                answers(port, CLIENTS, 2)
            latencies: dict[str, list[float]] = {name: [] for name in doors}
            rates: dict[str, list[float]] = {"ours": [], "FastAPI": [], "bare": []}
            for _ in range(RUNS):
                for name, door in doors.items():
                    latencies[name].append(_median(door, images) * 1000)
                rates["ours"].append(answers(PORT, CLIENTS, SECONDS).rate)
                rates["FastAPI"].append(answers(PEER_PORT, CLIENTS, SECONDS).rate)
                rates["bare"].append(_rate_of_batches(model, images))
    return _report(latencies, rates, starts)


def _report(
    latencies: dict[str, list[float]],
    rates: dict[str, list[float]],
    starts: Sequence[tuple[float, float]],
) -> str:
    bare, rest, grpc, peer = (latencies[name] for name in ("bare", "REST", "gRPC", "FastAPI"))
    over = [r - 1.3 * b for r, b in zip(rest, bare, strict=True)]
    rows = [
        *([f"one photograph, {name}: ms", spread(each), ""] for name, each in latencies.items()),
        _row("REST less 1.3 times the bare call: ms", over, 2, False),
        _row("gRPC / REST", _ratios(grpc, rest), 1, False),
        _row("REST / FastAPI, one client", _ratios(rest, peer), 1, False),
        *(
            [f"photographs/s, {CLIENTS} {what}, {name}", spread(rates[name], 0), ""]
            for name, what in (("ours", "clients"), ("FastAPI", "clients"), ("bare", "a batch"))
        ),
        _row("clients / batches in a process", _ratios(rates["ours"], rates["bare"]), 0.85, True),
        _row("clients / FastAPI", _ratios(rates["ours"], rates["FastAPI"]), 1, True),
        _row("start to ready / TensorFlow and the model", [a / b for a, b in starts], 1.5, False),
    ]
    return table(["serve", "median (least to most)", "must be"], rows)


def _row(name: str, values: Sequence[float], bound: float, at_least: bool) -> list[str]:
    return [name, spread(values), verdict(statistics.median(values), bound, at_least)]


def _ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(ours, theirs, strict=True)]


@contextlib.contextmanager
def server(model: Path, *options: str, core: int | None = None) -> Iterator[int]:
    """The model server, ready; gives its process's id.

    Args:
        model: The model, or the folder of its versions.
        options: Settings that differ from their defaults.
        core: The core that it may use; None for all.
    """
    ports = ["--port", str(PORT), "--grpc-port", str(GRPC_PORT)]
    command = [sys.executable, "-m", "components.serve", str(model), "--name", "model", *ports]
    with _running([*on_core(core), *command, *options], PORT) as pid:
        yield pid


def _peer(model: Path) -> contextlib.AbstractContextManager[int]:
    return _running([sys.executable, str(_PEER), str(model), str(PEER_PORT)], PEER_PORT)


@contextlib.contextmanager
def _running(command: Sequence[str], port: int) -> Iterator[int]:
    import httpx

    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=ROOT, **quiet)  # type: ignore[call-overload]
    try:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{port}/v2/health/ready").status_code == 200:
                    break
            if process.poll() is not None:
                raise RuntimeError("the server ended")
            time.sleep(0.02)
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def _seconds_to_ready(model: Path) -> float:
    started = time.perf_counter()
    with server(model):
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
        httpx.Client(base_url=f"http://127.0.0.1:{PORT}") as client,
        httpx.Client(base_url=f"http://127.0.0.1:{PEER_PORT}") as peer,
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
            "FastAPI": lambda image: _by_rest(peer, image),
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

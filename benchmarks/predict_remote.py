"""Batch prediction by a served model: its rate beside the server's limit, 429s, and a dead server.

The server has one core and its clients the other, as they would on two machines.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import ROOT
from benchmarks.evaluate import exported_model
from benchmarks.ingest import SCALE
from benchmarks.photographs import photographs
from benchmarks.predict import predict_command
from benchmarks.processes import RUNS, cost, on_core, spread, table, verdict
from benchmarks.serve import GRPC_PORT, PORT, server
from darkroom.artifacts.batch_predictions import read_batch_predictions

FEW, MANY = round(1_000 * SCALE), round(6_000 * SCALE)
SECONDS = max(2.0, 15.0 * min(SCALE, 1.0))
BATCH, PARALLEL = 64, 4
"""As they are by default: the server's limit is measured with requests of the same size."""
SERVER_CORE, CLIENT_CORE = 0, 1
_ADDRESSES = {
    "REST": f"http://127.0.0.1:{PORT}/v1/models/model",
    "gRPC": f"grpc://127.0.0.1:{GRPC_PORT}/model",
}
_AWAY = 5.0
"""Seconds for which the server that dies is away."""


def measure() -> str:
    """Serves one model, and has it asked in turn by bare clients and by batch prediction."""
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        versions = Path(folder) / "versions"
        versions.mkdir()
        exported_model(Path(folder) / "model").rename(versions / "1")
        with server(versions, core=SERVER_CORE):
            for name, address in _ADDRESSES.items():
                rows += _rates(name, address)
        rows += _busy(versions)
        rows += _died(versions)
    return table(["predict, remote", "median (least to most)", "must be"], rows)


def _rates(name: str, address: str) -> list[list[str]]:
    _limit(name)  # warm
    limits, rates = [], []
    for turn in range(RUNS):
        limits.append(_limit(name))
        few, many = (_seconds(address, count) for count in (FEW, MANY))
        rates.append((MANY - FEW) / (many - few))
        print(f"{turn + 1}/{RUNS} {name}: {rates[-1]:.0f}/s of {limits[-1]:.0f}", file=sys.stderr)
    shares = [rate / limit for rate, limit in zip(rates, limits, strict=True)]
    return [
        [f"{name}: the server's limit, photographs/s", spread(limits, 0), ""],
        [f"{name}: predict, photographs/s at the margin", spread(rates, 0), ""],
        [f"{name}: predict / limit", spread(shares), verdict(statistics.median(shares), 0.8, True)],
    ]


def _limit(name: str) -> float:
    port = PORT if name == "REST" else GRPC_PORT
    peer = [sys.executable, str(ROOT / "benchmarks/peers/remote_requests.py"), name.lower()]
    words = [str(each) for each in (port, photographs(MANY), BATCH, PARALLEL, SECONDS)]
    command = [*on_core(CLIENT_CORE), *peer, *words]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT, env=quiet)
    return float(output.stdout)


def _command(address: str, count: int, out: str, **settings: object) -> list[str]:
    given = {"model": address, "batch_size": BATCH, "parallel_requests": PARALLEL, **settings}
    words = predict_command(None, photographs(count), **given)
    return [*on_core(CLIENT_CORE), *(word.replace("{out}", out) for word in words)]


def _seconds(address: str, count: int, **settings: object) -> float:
    with tempfile.TemporaryDirectory() as out:
        taken = cost(_command(address, count, out, **settings)).seconds
        _check_all(Path(out), count)
    return taken


def _check_all(out: Path, count: int) -> None:
    """Fails unless every photograph has one prediction."""
    expected = sorted(map(str, photographs(count).glob("*/*.jpg")))
    found = sorted(read_batch_predictions(out / "predictions").images())
    if found != expected:
        raise RuntimeError(f"{len(found):,} predictions of {len(expected):,} photographs")


def _busy(versions: Path) -> list[list[str]]:
    """More requests at a time than the server takes: each refused one is sent again."""
    import httpx

    with server(versions, "--settings", '{"max_requests": 2}', core=SERVER_CORE):
        _seconds(_ADDRESSES["REST"], FEW, parallel_requests=16, batch_size=8)
        metrics = httpx.get(f"http://127.0.0.1:{PORT}/metrics").text
    counts = re.findall(r'^darkroom_refused_requests_total\{status="429"\} (\S+)', metrics, re.M)
    refused = sum(map(float, counts))
    return [
        [
            f"16 requests at a time to a server that takes 2: {FEW:,} photographs, predictions",
            f"{FEW:,}; {refused:,.0f} requests refused by 429 and sent again",
            verdict(refused, 1, True),
        ]
    ]


def _died(versions: Path) -> list[list[str]]:
    """A server that is killed in the middle, and comes back: nothing is lost, nothing twice."""
    rows = []
    for name, address in _ADDRESSES.items():
        with tempfile.TemporaryDirectory() as out:
            words = _command(address, MANY, out)
            with server(versions, core=SERVER_CORE) as pid:
                process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL)
                _wait_for_marks(Path(out), process)
                os.kill(pid, 9)
            time.sleep(_AWAY)
            before = time.perf_counter()
            with server(versions, core=SERVER_CORE):
                code = process.wait()
            if code:
                raise RuntimeError(f"{name}: predict ended with {code}")
            _check_all(Path(out), MANY)
        took = time.perf_counter() - before
        text = f"{MANY:,} of {MANY:,} once each; done {took:.0f} s after it began to come back"
        rows.append([f"{name}: server killed in the middle, away for {_AWAY:g} s", text, ""])
    return rows


def _wait_for_marks(out: Path, process: "subprocess.Popen[bytes]") -> None:
    """Waits until a third of the shards are done."""
    plan = out / ".unfinished-predictions" / "plan"

    def counts() -> Sequence[int]:
        return [len(list(plan.glob(pattern))) for pattern in ("mark-*", "rows-*")]

    while True:
        done, shards = counts()
        if shards and done >= max(1, shards // 3):
            return
        if process.poll() is not None:
            raise RuntimeError("predict ended before the server was killed")
        time.sleep(0.01)

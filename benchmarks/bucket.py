"""Records read from a bucket that answers late, beside the same records on this disk."""

import contextlib
import http.server
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks.ingest import ingest_command
from benchmarks.photographs import FLOWERS
from benchmarks.processes import cost, spread, table
from darkroom.tests.cloud_storage import fake_cloud_storage
from pipeline.tests.faulty_proxy import FaultyProxy

DELAY = 0.1
"""Seconds that the store takes to answer each request."""
_BATCH, _SECONDS_A_BATCH = 32, 0.05
"""What a step of training takes: some 640 photographs a second."""
_ROUNDS = 3


def measure() -> str:
    """Reads the flowers' records in batches, with a pause after each as long as a step."""
    from darkroom.storage.files import upload

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        cost(ingest_command(FLOWERS, folder, shard_bytes=4_000_000))
        shards = sorted(Path(folder, "examples").glob("train-*.tfrecord"))
        with fake_cloud_storage() as address:
            upload(shards, "gs://bucket/records")
            proxy = FaultyProxy(address)
            proxy.delay = DELAY
            with _served(proxy):
                patch.setenv("STORAGE_EMULATOR_HOST", proxy.address)
                _forget_clients()
                afar = [f"gs://bucket/records/{shard.name}" for shard in shards]
                times = _times({"disk": list(map(str, shards)), "bucket": afar})
    rows = [
        [f"{name}, {which} pass", spread([each[place] for each in taken])]
        for name, taken in times.items()
        for place, which in enumerate(("first", "second"))
    ]
    title = f"seconds for {len(shards)} shards, {DELAY:.1f} s a request"
    return table([title, "median (least to most)"], rows)


def _times(sources: dict[str, Sequence[str]]) -> dict[str, list[tuple[float, float]]]:
    from components.train.data import records

    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sources}
    for _ in range(_ROUNDS):
        for name, shards in sources.items():
            records._copies.cache_clear()  # as a process that has read nothing yet
            times[name].append((_pass(shards), _pass(shards)))
    return times


def _pass(shards: Sequence[str]) -> float:
    from components.train.data.records import record_stream

    began = time.perf_counter()
    for _ in record_stream(shards).batch(_BATCH).prefetch(2):
        time.sleep(_SECONDS_A_BATCH)
    return time.perf_counter() - began


def _forget_clients() -> None:
    import fsspec

    fsspec.get_filesystem_class("gs").clear_instance_cache()


@contextlib.contextmanager
def _served(server: http.server.ThreadingHTTPServer) -> Iterator[None]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()

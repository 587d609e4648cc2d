"""A cluster and a folder of photographs for the tests of triggers."""

import datetime
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from darkroom.channels.tests.servers import serving
from darkroom.tests.cloud_storage import fake_cloud_storage
from pipeline.config import Config, load_config
from pipeline.target import Run
from pipeline.targets import cluster_target
from pipeline.tests.faulty_proxy import FaultyProxy
from pipeline.triggers.start_run import TriggerResult, start_if_due, trigger_store

ROOT = Path(__file__).parent.parent.parent


NOW = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)


class Cluster:
    """Keeps the runs that are started, a line a run, for all processes to see."""

    def __init__(self, folder: Path, error: Exception | None = None) -> None:
        self.log = folder / "runs"
        self.error = error

    def submit(self, package: Path, name: str, arguments: Mapping[str, Any], caching: bool) -> Run:
        assert package.stat().st_size
        if self.error is not None:
            raise self.error
        with self.log.open("a") as log:
            log.write(f"{os.getpid()}\n")
        return Run("r1", name, "pending", "https://cluster/runs/r1", NOW)

    @property
    def runs(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


def config(data: Path, state: Path, **values: Any) -> Config:
    settings = ", ".join(f"{key}: {value}" for key, value in values.items())
    override = f"trigger={{state: {state}{', ' + settings if settings else ''}}}"
    return load_config(str(ROOT / "configs" / "flowers.yaml"), str(data), [override])


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    add(folder, 10)
    return folder


@pytest.fixture(scope="session")
def storage_proxy() -> Iterator[FaultyProxy]:
    """fake-gcs-server behind a proxy that fails when it is told to."""
    with fake_cloud_storage() as address:
        yield from serving(FaultyProxy(address))


@pytest.fixture
def bucket(storage_proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """The proxy, with which gcsfs speaks for as long as a test runs."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage_proxy.address)
    yield storage_proxy
    storage_proxy.refuse, storage_proxy.lose_answers = False, 0


def add(folder: Path, count: int) -> None:
    (folder / "roses").mkdir(parents=True, exist_ok=True)
    there = len(list(folder.glob("*/*")))
    for number in range(there, there + count):
        (folder / "roses" / f"{number}.jpg").write_bytes(b"x")


def start(config: Config, cluster: Any, quality: str = "") -> TriggerResult:
    return start_if_due(config, cluster, cluster_target("kfp"), trigger_store(config), quality)

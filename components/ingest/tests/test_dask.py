"""Ingest on a Dask cluster whose workers are processes of their own."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.ingest.tests.pictures import encoded, gradient
from darkroom.errors import StepError

pytestmark = pytest.mark.slow

RunIngest = Callable[..., Any]


@pytest.fixture(scope="module")
def options() -> Iterator[list[str]]:
    """Options for Beam that lead to a cluster of three worker processes."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=3, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield ["--runner=DaskRunner", f"--dask_client_address={cluster.scheduler_address}"]


def start(folder: Path) -> None:
    """Photographs with copies, conflicts, near copies of other splits, and broken ones."""
    for number in range(150):
        path = folder / ("rose", "tulip")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(gradient(number), "PNG"))
    (folder / "beside.png").write_bytes(b"no label")
    for number in range(0, 12, 2):
        data = (folder / "rose" / f"{number}.png").read_bytes()
        (folder / "rose" / f"copy {number}.png").write_bytes(data)
        (folder / "tulip" / f"conflict {number}.png").write_bytes(data[: None if number else 40])


def assert_same(one: Any, other: Any) -> None:
    assert other.records == one.records
    assert other.examples.manifest["rejected"] == one.examples.manifest["rejected"]
    assert sorted(map(str, other.rejected)) == sorted(map(str, one.rejected))
    assert other.statistics == one.statistics
    assert other.examples.manifest["digest"] == one.examples.manifest["digest"]


@pytest.mark.parametrize("conflicts", ["reject", "keep"])
def test_a_cluster_gives_what_this_process_gives(
    tmp_path: Path, run_ingest: RunIngest, options: list[str], conflicts: str
) -> None:
    start(tmp_path / "data")
    given = {
        "conflicting_labels": conflicts,
        "shard_bytes": 1_000_000,
        "max_rejected": 0.5,
        "near_duplicate_distance": 10,
    }
    here = run_ingest(tmp_path / "data", "here", **given)
    there = run_ingest(tmp_path / "data", "there", beam_options=options, **given)
    assert {"near_duplicate", "duplicate"} <= set(here.reasons.values())
    assert len(here.examples.shards("train")) > 1
    assert_same(here, there)
    # Built on by a later run, on the cluster again: what vanished brings its copies back.
    (tmp_path / "data" / "rose" / "2.png").unlink()
    (tmp_path / "data" / "rose" / "new.png").write_bytes(encoded(gradient(900), "PNG"))
    previous = str(there.examples.folder)
    again = run_ingest(tmp_path / "data", "again", beam_options=options, previous=previous, **given)
    here_again = run_ingest(tmp_path / "data", "here again", previous=previous, **given)
    assert_same(here_again, again)
    full = run_ingest(tmp_path / "data", "full", **given)
    assert again.statistics == full.statistics


def test_a_scheduler_that_is_not_there_is_one_line(tmp_path: Path, run_ingest: RunIngest) -> None:
    start(tmp_path / "data")
    nowhere = ["--runner=DaskRunner", "--dask_client_address=tcp://127.0.0.1:9"]
    began = time.monotonic()
    with pytest.raises(StepError, match=r"^cannot run on DaskRunner: .*127\.0\.0\.1:9") as raised:
        run_ingest(tmp_path / "data", beam_options=nowhere)
    assert time.monotonic() - began < 20
    assert "\n" not in str(raised.value)


def test_what_a_worker_refuses_is_one_line(
    tmp_path: Path, run_ingest: RunIngest, options: list[str]
) -> None:
    start(tmp_path / "data")
    with pytest.raises(StepError, match=r"^ingest.group_by: no column 'patient' in the data"):
        run_ingest(tmp_path / "data", beam_options=options, group_by="patient")


def entries_below(folder: Path) -> int:
    names = (name for _, _, names in os.walk(folder) for name in names)
    return sum(name.startswith("entries-") for name in names)


def test_a_worker_that_is_killed_costs_nothing(tmp_path: Path, run_ingest: RunIngest) -> None:
    from distributed import LocalCluster

    start(tmp_path / "data")
    given = {"shard_bytes": 1_000_000, "max_rejected": 0.5}
    here = run_ingest(tmp_path / "data", "here", **given)
    with LocalCluster(
        n_workers=3, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        options = ["--runner=DaskRunner", f"--dask_client_address={cluster.scheduler_address}"]
        options.append("--dask_npartitions=8")
        killed = []

        def kill() -> None:
            """Once some shards are written, one worker after the other."""
            for number, nanny in enumerate(list(cluster.workers.values())[:2]):
                while entries_below(tmp_path) <= number:
                    time.sleep(0.01)
                os.kill(nanny.pid, signal.SIGKILL)
                killed.append(nanny.pid)

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()
        there = run_ingest(tmp_path / "data", "there", beam_options=options, **given)
        thread.join(1)
    assert len(killed) == 2
    assert_same(here, there)

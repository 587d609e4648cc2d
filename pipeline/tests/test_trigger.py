"""When a run starts itself, and that of several triggers at once one starts it."""

import concurrent.futures
import datetime
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.notify.tests.servers import serving
from darkroom.errors import SettingsError, StepError
from pipeline.config import Config, TriggerSettings, load_config
from pipeline.target import Run, TransientError
from pipeline.targets import cluster_target
from pipeline.tests.bucket_server import BucketServer
from pipeline.triggers.claims import ABANDONED_AFTER, ClaimLog, RunClaim
from pipeline.triggers.start_run import TriggerResult, decide, start_if_due, trigger_store
from pipeline.triggers.store import FolderStore, store_at

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


def add(folder: Path, count: int) -> None:
    (folder / "roses").mkdir(parents=True, exist_ok=True)
    there = len(list(folder.glob("*/*")))
    for number in range(there, there + count):
        (folder / "roses" / f"{number}.jpg").write_bytes(b"x")


def start(config: Config, cluster: Cluster, quality: str = "") -> TriggerResult:
    return start_if_due(config, cluster, cluster_target("kfp"), trigger_store(config), quality)


def test_a_run_starts_when_enough_photographs_are_new(photographs: Path, tmp_path: Path) -> None:
    settings = config(photographs, tmp_path, minimum_new_photographs=5, minimum_interval="1s")
    cluster = Cluster(tmp_path)
    answer = start(settings, cluster)
    assert (answer.reason, answer.run and answer.run.id) == ("10 new photographs", "r1")
    time.sleep(1)
    assert start(settings, cluster).reason == "0 new photographs, and 5 are needed"
    add(photographs, 4)
    assert start(settings, cluster).reason == "4 new photographs, and 5 are needed"
    changed = photographs / "roses" / "0.jpg"
    changed.write_bytes(b"another")
    assert start(settings, cluster).reason == "5 new photographs"
    assert cluster.runs == 2
    kept = sorted(path.name for path in (tmp_path / "flowers").iterdir())
    assert kept == ["000001.claim", "000001.run", "000002.claim", "000002.run", "000002.seen"]


def test_the_interval_holds_for_every_reason(photographs: Path, tmp_path: Path) -> None:
    settings = config(photographs, tmp_path, minimum_interval="2h")
    cluster = Cluster(tmp_path)
    start(settings, cluster)
    add(photographs, 4)
    assert "the last run started less than 2h ago" in start(settings, cluster).reason
    assert "less than 2h" in start(settings, cluster, "accuracy fell to 0.81").reason
    assert cluster.runs == 1


def test_a_fall_in_quality_needs_no_photographs(photographs: Path, tmp_path: Path) -> None:
    settings = config(photographs, tmp_path, minimum_new_photographs=99)
    assert start(settings, Cluster(tmp_path)).run is None
    answer = start(settings, Cluster(tmp_path), "accuracy fell to 0.81")
    assert answer.reason == "accuracy fell to 0.81"
    assert answer.run is not None


@pytest.mark.parametrize(
    ("new", "hours_ago", "quality", "due"),
    [
        (5, None, "", True),
        (4, None, "", False),
        (5, 1.9, "", False),
        (5, 2.1, "", True),
        (0, 1.9, "worse", False),
        (0, 2.1, "worse", True),
        (0, None, "worse", True),
    ],
)
def test_what_is_due(new: int, hours_ago: float | None, quality: str, due: bool) -> None:
    settings = TriggerSettings(minimum_new_photographs=5, minimum_interval="2h")
    last = None
    if hours_ago is not None:
        last = RunClaim(3, NOW - datetime.timedelta(hours=hours_ago), "", "r1")
    assert decide(settings, new, last, NOW, quality).due is due


class AtOnce(FolderStore):
    """Lets no process claim a start before all have decided to."""

    def __init__(self, folder: Path, barrier: Any) -> None:
        super().__init__(folder)
        self._barrier = barrier

    def create(self, name: str, content: bytes) -> bool:
        if name.endswith(".claim"):
            self._barrier.wait()
        return super().create(name, content)


def trigger_once(photographs: Path, folder: Path, barrier: Any) -> str:
    settings = config(photographs, folder / "state")
    store = AtOnce(folder / "state" / "flowers", barrier)
    return start_if_due(settings, Cluster(folder), cluster_target("kfp"), store).reason


@pytest.mark.slow
def test_of_several_processes_at_once_one_starts_the_run(photographs: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    answers = context.SimpleQueue()
    processes = [
        context.Process(target=lambda: answers.put(trigger_once(photographs, tmp_path, barrier)))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert Cluster(tmp_path).runs == 1
    reasons = [answers.get() for _ in processes]
    assert reasons.count("10 new photographs") == 1
    assert reasons.count("another trigger was first") == 3


def test_of_many_claims_of_a_bucket_one_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = BucketServer()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.address)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "test")
    for _ in serving(server):
        starts = ClaimLog(store_at("gs://bucket/triggers/flowers"))
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            claims = [
                threads.submit(starts.claim, "x", frozenset((1,)), None, NOW) for _ in range(8)
            ]
        held = [claim.result() for claim in claims if claim.result() is not None]
        assert [claim.number for claim in held] == [1]
        starts.give_up(held[0])
        # The answer is lost, the library asks again, and is told that there is such an object.
        server.lose_answers = 1
        assert starts.claim("y", frozenset((1, 2)), None, NOW) is not None
        assert starts.seen_photographs(starts.last(NOW)) == {1, 2}


def test_a_refused_run_is_tried_by_the_next_trigger(photographs: Path, tmp_path: Path) -> None:
    settings = config(photographs, tmp_path)
    with pytest.raises(StepError, match="quota"):
        start(settings, Cluster(tmp_path, StepError("quota exceeded")))
    assert start(settings, Cluster(tmp_path)).run is not None


def test_a_run_that_may_have_started_is_not_started_twice(
    photographs: Path, tmp_path: Path
) -> None:
    settings = config(photographs, tmp_path, minimum_interval="1s")
    with pytest.raises(TransientError):
        start(settings, Cluster(tmp_path, TransientError("no answer")))
    time.sleep(1)  # the interval counts from a run; whether there is one will show later
    answer = start(settings, Cluster(tmp_path))
    assert answer.run is None
    assert "no cluster has answered; the next may at" in answer.reason


def test_a_start_whose_trigger_died_is_made_up_for(tmp_path: Path) -> None:
    starts = ClaimLog(FolderStore(tmp_path))
    assert starts.claim("1", frozenset((1,)), None, NOW)
    soon, later = NOW + ABANDONED_AFTER / 2, NOW + ABANDONED_AFTER
    assert starts.claim("2", frozenset((1,)), None, soon) is None
    assert starts.last(later) is None
    second = starts.claim("2", frozenset((1,)), None, later)
    assert second is not None
    assert second.number == 2
    starts.started(second, "r2")
    last = starts.last(later + ABANDONED_AFTER)
    assert last is not None
    assert (last.number, last.run) == (2, "r2")


def test_settings_say_where_and_what() -> None:
    flowers = str(ROOT / "configs" / "flowers.yaml")
    with pytest.raises(SettingsError, match="the config has no section 'trigger': give it one"):
        trigger_store(load_config(flowers))
    with pytest.raises(SettingsError, match=r"setting 'trigger\.state' is missing: name a folder"):
        trigger_store(load_config(flowers, overrides=["trigger={}"]))
    with pytest.raises(SettingsError, match="debounce is 9m, and may be 8m at most"):
        load_config(flowers, overrides=["trigger.debounce=9m"])
    with pytest.raises(SettingsError, match=r"setting 'trigger\.minimum_interval'"):
        load_config(flowers, overrides=["trigger.minimum_interval=daily"])


@pytest.fixture
def doors(photographs: Path, tmp_path: Path) -> Iterator[tuple[str, Cluster]]:
    import uvicorn

    from pipeline.triggers.server import TriggerApp

    settings = config(photographs, tmp_path / "state", debounce="1s")
    cluster = Cluster(tmp_path)
    application = TriggerApp(
        settings, cluster, cluster_target("kfp"), trigger_store(settings)
    ).application()
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}", cluster
    server.should_exit = True
    thread.join()


def event(number: int, name: str, kind: str = "finalized") -> dict[str, Any]:
    """As Eventarc sends it: a CloudEvent in binary mode."""
    headers = {
        "ce-id": str(number),
        "ce-source": "//storage.googleapis.com/projects/_/buckets/bucket",
        "ce-specversion": "1.0",
        "ce-type": f"google.cloud.storage.object.v1.{kind}",
        "content-type": "application/json",
    }
    return {"headers": headers, "json": {"bucket": "bucket", "name": name}}


def test_a_heap_of_events_starts_one_run(
    doors: tuple[str, Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, cluster = doors
    # The photographs lie in a folder here; the events say which, as if it were a bucket's.
    monkeypatch.setattr("pipeline.triggers.server.TriggerApp._is_ours", lambda *_: True)
    with concurrent.futures.ThreadPoolExecutor(12) as threads:
        answers = list(
            threads.map(
                lambda n: httpx.post(f"{address}/events", **event(n, f"f/{n}.jpg"), timeout=30),
                range(12),
            )
        )
    assert {answer.status_code for answer in answers} == {200}
    assert cluster.runs == 1
    waited = [answer.json()["reason"] for answer in answers]
    assert waited.count("an earlier event looks for this one too") >= 10
    again = httpx.post(f"{address}/events", **event(99, "f/99.jpg"), timeout=30)
    assert again.json()["reason"].startswith("the last run started less than 1h ago")


def test_events_of_other_things_are_let_go(doors: tuple[str, Cluster]) -> None:
    address, cluster = doors
    for other in (event(1, "elsewhere/1.jpg"), event(2, "f/1.jpg", kind="deleted")):
        answer = httpx.post(f"{address}/events", **other)
        assert answer.json() == {"reason": "not of this pipeline's data"}
    refused = httpx.post(f"{address}/events", json={"bucket": "b"})
    assert refused.status_code == 400
    assert cluster.runs == 0


def test_a_clock_and_a_monitor_have_doors_too(doors: tuple[str, Cluster]) -> None:
    address, cluster = doors
    assert httpx.get(f"{address}/healthz").json() == {"pipeline": "flowers"}
    assert httpx.post(f"{address}/quality", json={"why": "?"}).status_code == 400
    answer = httpx.post(f"{address}/quality", json={"reason": "accuracy fell to 0.81"}, timeout=30)
    assert answer.json() == {
        "reason": "accuracy fell to 0.81",
        "run": "r1",
        "address": "https://cluster/runs/r1",
    }
    assert "less than 1h" in httpx.post(f"{address}/look", timeout=30).json()["reason"]
    assert cluster.runs == 1


@pytest.mark.parametrize(
    ("data", "ours"),
    [
        ("gs://bucket/photographs", True),
        ("gs://bucket/photographs/", True),
        ("gs://bucket/photo", False),
        ("gs://bucket/photographs/*/rows.jsonl", True),
        ("gs://other/photographs", False),
    ],
)
def test_whose_an_object_is(data: str, ours: bool, tmp_path: Path) -> None:
    from pipeline.triggers.server import TriggerApp

    settings = load_config(str(ROOT / "configs" / "flowers.yaml"), data)
    doors = TriggerApp(settings, Cluster(tmp_path), cluster_target("vertex"), FolderStore(tmp_path))
    assert doors._is_ours({"bucket": "bucket", "name": "photographs/roses/1.jpg"}) is ours

"""The trigger server: storage events, a timer, and a monitor."""

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from pipeline.config import load_config
from pipeline.targets import cluster_target
from pipeline.tests.trigger_fixtures import ROOT, Cluster, config
from pipeline.triggers.start_run import trigger_store
from pipeline.triggers.store import Store


@pytest.fixture
def doors(photographs: Path, tmp_path: Path) -> Iterator[tuple[str, Cluster]]:
    import uvicorn

    from pipeline.triggers.server import TriggerApp

    settings = config(photographs, tmp_path / "state", debounce="1s")
    cluster: Any = Cluster(tmp_path)
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
    doors = TriggerApp(
        settings, cast(Any, Cluster(tmp_path)), cluster_target("vertex"), Store(str(tmp_path))
    )
    assert doors._is_ours({"bucket": "bucket", "name": "photographs/roses/1.jpg"}) is ours


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 50_000,
        b'"text"',
        b"\xff",
        b'{"reason": 3}',
        b'{"reason": ""}',
        b"{}",
    ],
)
def test_a_wrong_body_is_a_400(doors: tuple[str, Cluster], body: bytes) -> None:
    address, cluster = doors
    answer = httpx.post(f"{address}/quality", content=body)
    assert answer.status_code == 400
    assert "error" in answer.json()
    headers = {**event(1, "f/1.jpg")["headers"], "content-type": "application/json"}
    for kind in ({}, headers, {"content-type": "application/cloudevents+json"}):
        answer = httpx.post(f"{address}/events", content=body, headers=kind)
        assert answer.status_code in (200, 400), answer.text
    assert cluster.runs == 0


def test_a_body_has_an_end(doors: tuple[str, Cluster]) -> None:
    address, _ = doors
    assert httpx.post(f"{address}/quality", content=b"x" * 2_000_000).status_code == 413
    chunks = (b"x" for _ in range(3))
    assert httpx.post(f"{address}/quality", content=chunks).status_code == 411


def test_only_who_knows_the_secret_starts_runs(photographs: Path, tmp_path: Path) -> None:
    from pipeline.triggers.server import TriggerApp

    settings = config(photographs, tmp_path / "state")
    cluster: Any = Cluster(tmp_path)
    store = trigger_store(settings)
    doors = TriggerApp(settings, cluster, cluster_target("kfp"), store, secret="s3cr\u00e9t")
    application = doors.application()

    def asked(method: str, path: str, headers: Any = None) -> int:
        async def ask() -> int:
            transport = httpx.ASGITransport(app=application)
            async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
                return (await client.request(method, path, headers=headers)).status_code

        return asyncio.run(ask())

    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "s3cret"}):
        for path in ("/look", "/quality", "/events", "/nothing"):
            assert asked("POST", path, headers) == 401
    assert asked("GET", "/healthz") == 200
    assert cluster.runs == 0
    right = {"authorization": "Bearer s3cr\u00e9t".encode()}
    assert asked("POST", "/look", right) == 200
    assert cluster.runs == 1


def test_a_server_without_a_secret_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipeline.triggers.server import main

    monkeypatch.setenv("DARKROOM_CONFIG", str(ROOT / "configs" / "digits.yaml"))
    monkeypatch.delenv("DARKROOM_TRIGGER_SECRET", raising=False)
    monkeypatch.setenv("DARKROOM_TARGET", "kfp")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "DARKROOM_TRIGGER_SECRET is not set" in capsys.readouterr().err

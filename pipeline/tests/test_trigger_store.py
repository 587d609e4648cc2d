"""Of many who create an object at once, one does: in a folder, and in a bucket."""

import concurrent.futures
import multiprocessing
from pathlib import Path

import pytest

from darkroom.errors import SettingsError, StepError
from pipeline.tests.faulty_proxy import FaultyProxy
from pipeline.triggers.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return Store(str(tmp_path / "state" / "flowers"))
    request.getfixturevalue("bucket")
    return Store(f"gs://bucket/{request.node.name}/flowers")


def test_an_object_is_created_once(store: Store) -> None:
    assert list(store.names()) == []
    assert store.read("000001.claim") is None
    assert store.create("000001.claim", b"mine")
    assert not store.create("000001.claim", b"yours")
    assert store.read("000001.claim") == b"mine"
    assert list(store.names()) == ["000001.claim"]
    store.delete("000001.claim")
    store.delete("000001.claim")
    assert store.create("000001.claim", b"again")


def test_of_many_threads_one_creates(store: Store) -> None:
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        created = list(threads.map(lambda n: store.create("one", str(n).encode()), range(16)))
    assert sum(created) == 1
    assert store.read("one") == str(created.index(True)).encode()


def create(folder: Path, number: int) -> list[bool]:
    store = Store(str(folder))
    return [store.create(f"{name}", str(number).encode()) for name in range(200)]


def test_of_several_processes_one_creates(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    with context.Pool(4) as processes:
        created = processes.starmap(create, [(tmp_path, number) for number in range(4)])
    assert [sum(results) for results in zip(*created, strict=True)] == [1] * 200
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_bucket_that_refuses_is_one_line(bucket: FaultyProxy) -> None:
    bucket.refuse = True
    with pytest.raises(StepError, match=r"cannot write to gs://bucket/x: .*no storage") as raised:
        Store("gs://bucket/x").create("one", b"")
    assert "\n" not in str(raised.value)


def test_other_places_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"'trigger\.state': minio://b/x: expected gs:"):
        Store("minio://b/x")

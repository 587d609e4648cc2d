"""Files by path and by URI: the same functions on a folder, on Cloud Storage and on S3.

The two clouds are fake-gcs-server and moto, at the other end of gcsfs's and s3fs's requests.
"""

import contextlib
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from darkroom.errors import SettingsError, StepError
from darkroom.storage import files, folders
from darkroom.tests.cloud_storage import fake_cloud_storage, fake_s3

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cloud_storage() -> Iterator[str]:
    with fake_cloud_storage():
        yield "gs://bucket"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with fake_s3():
        yield "s3://bucket"


@pytest.fixture(params=["folder", "cloud_storage", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "store")
    name = request.node.name.partition("[")[0]
    return f"{request.getfixturevalue(request.param)}/{name}"


def test_what_is_uploaded_is_listed_read_and_deleted(root: str, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    for number in range(20):
        (sources / f"{number:02d}.bin").write_bytes(bytes(number))
    files.upload(sorted(sources.iterdir()), f"{root}/a")
    files.upload([sources / "03.bin"], f"{root}/a/b")
    listed = files.list_files(f"{root}/a/*")
    assert [file.size for file in listed] == list(range(20))
    assert all(file.modified > 1e9 for file in listed)
    assert len(files.list_files(f"{root}/**/*.bin")) == 21
    assert files.read_bytes(listed[7].location) == bytes(7)
    assert files.exists(f"{root}/a/07.bin")
    (tmp_path / "copies").mkdir()
    copies = files.download([file.location for file in listed], tmp_path / "copies")
    assert [path.read_bytes() for path in copies] == [bytes(number) for number in range(20)]
    files.delete([listed[0].location])
    assert len(files.list_files(f"{root}/a/*")) == 19
    folders.delete_folder(f"{root}/a")
    assert files.list_files(f"{root}/**") == []


def test_what_is_not_there(root: str) -> None:
    assert files.list_files(f"{root}/none/*") == []
    assert files.list_files(f"{root}/none.csv") == []
    assert not files.exists(f"{root}/none.csv")
    with pytest.raises(FileNotFoundError):
        files.read_bytes(f"{root}/none.csv")


def test_a_file_is_created_once(root: str) -> None:
    assert files.create(f"{root}/claim", b"mine")
    assert not files.create(f"{root}/claim", b"yours")
    assert files.read_bytes(f"{root}/claim") == b"mine"


def test_of_many_writers_one_creates(root: str) -> None:
    if root.startswith("s3://"):
        pytest.skip(
            "moto looks for the object, and only then writes it: S3 itself does both in one"
        )
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads meet in the middle of a write
    try:
        for claim in range(20):
            name, barrier = f"{root}/claim-{claim}", threading.Barrier(8)

            def create(number: int, name: str = name, barrier: Any = barrier) -> bool:
                barrier.wait()
                return files.create(name, str(number).encode())

            with ThreadPoolExecutor(8) as threads:
                created = list(threads.map(create, range(8)))
            assert sum(created) == 1
            assert files.read_bytes(name) == str(created.index(True)).encode()
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize("uri", ["gs://no-such-bucket/flowers/**", "s3://no-such-bucket/a/*.csv"])
def test_a_bucket_that_does_not_exist_is_no_empty_one(
    uri: str, cloud_storage: str, s3: str
) -> None:
    with pytest.raises(FileNotFoundError):
        files.list_files(uri)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("nosuchscheme://b/x.csv", "Protocol not known: nosuchscheme"),
        ("gs://no-such-bucket/x.csv", "no-such-bucket"),
        ("s3://no-such-bucket/x.csv", "bucket"),
    ],
)
def test_a_store_that_cannot_be_read_is_one_line(
    uri: str, message: str, cloud_storage: str, s3: str
) -> None:
    what = f"cannot read {uri}"
    with (
        pytest.raises(SettingsError, match=message) as raised,
        files.clear_errors(what, SettingsError),
    ):
        files.read_bytes(uri)
    assert str(raised.value).startswith(f"{what}: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("store", ["cloud_storage", "s3"])
def test_a_bucket_that_is_not_there_is_not_made(
    store: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A misspelt one was made, and the run succeeded."""
    missing = request.getfixturevalue(store).replace("bucket", "missing")
    (tmp_path / "file").write_bytes(b"content")
    for write in (
        lambda: files.put(tmp_path / "file", f"{missing}/folder/file"),
        lambda: files.upload([tmp_path / "file"], f"{missing}/folder"),
    ):
        with refused("cannot write"):
            write()
    with refused("cannot list"):
        files.list_files(f"{missing}/*")


@contextlib.contextmanager
def refused(what: str) -> Iterator[None]:
    with (
        pytest.raises(StepError, match=rf"^{what}: .*(no such bucket|bucket does not exist)"),
        files.clear_errors(what, StepError),
    ):
        yield

"""Records in a store are those of a disk, and are fetched once while there is room."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from components.train.data import records
from components.train.data.records import Copies, record_stream
from components.train.distribution.context import clear_errors
from components.train.loop.identity import training_identity
from components.train.settings import TrainSettings
from darkroom.artifacts.data_root import RECORDS
from darkroom.artifacts.transformed import TransformedExamples, TransformGraph
from darkroom.errors import StepError
from darkroom.records.tfrecord import write_record
from darkroom.storage.files import upload

pytestmark = pytest.mark.slow

STORE = "memory://records"


@pytest.fixture
def shards(tmp_path: Path) -> Iterator[list[str]]:
    """URIs of 20 shards of 3 records each; the same files are in `tmp_path`."""
    for number in range(20):
        with (tmp_path / f"train-{number:05d}-of-00020.tfrecord").open("wb") as file:
            for place in range(3):
                write_record(file, f"{number} {place}".encode())
    names = sorted(tmp_path.iterdir())
    upload(names, STORE)
    yield [f"{STORE}/{name.name}" for name in names]
    fsspec.filesystem("memory").rm("/records", recursive=True)


def test_a_store_gives_the_records_of_a_disk(shards: list[str], tmp_path: Path) -> None:
    here = record_stream([str(path) for path in sorted(tmp_path.iterdir())])
    there = record_stream(shards)
    assert list(there.as_numpy_iterator()) == list(here.as_numpy_iterator())
    backwards = record_stream(shards, shards[::-1])
    assert next(backwards.as_numpy_iterator()) == b"19 0"


def test_what_is_fetched_stays_while_there_is_room(
    shards: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    download = records._download

    def counted(location: str, path: Path) -> None:
        fetched.append(location)
        download(location, path)

    monkeypatch.setattr(records, "_download", counted)
    roomy = Copies()
    first = [roomy.borrow(shard) for shard in shards]
    assert [roomy.borrow(shard) for shard in shards] == first
    assert fetched == shards
    assert all(path.stat().st_size for path in first)
    fetched.clear()
    tight = Copies(most_bytes=0)
    paths = [tight.borrow(shard) for shard in shards]
    assert all(path.exists() for path in paths)  # somebody may be about to open them
    for path in paths[:5]:
        tight.give_back(path)
    assert [path.exists() for path in paths] == [False] * 5 + [True] * 15
    tight.borrow(shards[0])
    assert fetched == [*shards, shards[0]]


def test_copies_that_were_read_make_room(
    shards: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tight = Copies(most_bytes=0)
    monkeypatch.setattr(records, "_copies", lambda: tight)
    for _ in range(2):
        assert len(list(record_stream(shards).as_numpy_iterator())) == 60
    assert list(Path(tight._folder.name).iterdir()) == []


def test_a_shard_that_is_gone_is_named(shards: list[str]) -> None:
    message = r"^cannot read memory://records/none\.tfrecord: "
    with pytest.raises(StepError, match=message):
        Copies().borrow(f"{STORE}/none.tfrecord")
    nothing: Any = None
    with pytest.raises(StepError, match=message), clear_errors(nothing, nothing):
        list(record_stream([*shards, f"{STORE}/none.tfrecord"]))


def test_records_in_a_store_are_known_by_their_digest(tmp_path: Path) -> None:
    graph = TransformGraph(tmp_path, ("a", "b"), (8, 8), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))

    def identity(digest: str) -> object:
        manifest = {RECORDS: f"{STORE}/folder {digest}", "digest": digest}
        source = TransformedExamples(tmp_path, {"train": 3}, {}, None, manifest)
        return training_identity(source, graph, TrainSettings(), warm_start=False)

    assert identity("one") == identity("one")
    assert identity("one") != identity("other")

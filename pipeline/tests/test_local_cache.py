"""A step is taken from the cache only where its outcome is known, and changes nothing else."""

import json
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from darkroom.artifacts.manifest import atomic_artifact, write_manifest
from darkroom.runtime.step_record import STEP_RECORDS_VARIABLE, StepRecord, read_step_records
from pipeline.targets.local.cache import ContentCache
from pipeline.targets.local.data_version import data_version


def artifact(folder: Path, content: str, kind: str = "examples") -> Any:
    with atomic_artifact(folder) as temporary:
        (temporary / "records").write_text(content)
        write_manifest(temporary, kind, {})
    return dsl.Dataset(name=folder.name, uri=str(folder))


def key(cache: ContentCache, step: str, **arguments: Any) -> str:
    command = ["sh", "-ec", "", "", "--executor_input", "{}", "--function_to_execute", step]
    return cache.compute_key(f"comp-{step}", "image", command, arguments)


@pytest.fixture
def begun(tmp_path: Path) -> Callable[..., ContentCache]:
    """Begins a run; its cache is that of the folder of runs."""

    def begin(name: str, reads: bool = True) -> ContentCache:
        (tmp_path / name / "journal").mkdir(parents=True)
        return ContentCache(tmp_path / ".cache", tmp_path / name, reads, lambda *_: None)

    return begin


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs a step named train in a run, as far as its cache sees of it."""

    def run(cache: ContentCache, known: str, name: str) -> dict[str, Any]:
        folder = tmp_path / name
        monkeypatch.setenv(STEP_RECORDS_VARIABLE, str(folder / "journal"))
        model = artifact(folder / "train" / "model", "weights", "model")
        entry = StepRecord("train", {"model": model.uri})
        entry.succeeded({"accuracy": 0.9})
        outputs = {"model": model, "Output": 0.5}
        cache.put(known, outputs)
        return outputs

    return run


def test_a_key_follows_content_and_nothing_else(
    begun: Callable[..., ContentCache], tmp_path: Path
) -> None:
    cache = begun("a")
    weights = tmp_path / "weights.h5"
    weights.write_text("1")
    settings = {"epochs": 3, "weights": str(weights), "checkpoints": str(tmp_path / "kept")}
    examples = artifact(tmp_path / "examples", "1")
    first = key(cache, "train", examples=examples, settings=settings)
    assert first
    elsewhere = artifact(tmp_path / "copy", "1")
    assert key(cache, "train", examples=elsewhere, settings=settings) == first
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "training.npz").write_text("where it writes is no input")
    assert key(cache, "train", examples=examples, settings=settings) == first

    others = artifact(tmp_path / "others", "2")
    keys = {first, key(cache, "train", examples=others, settings=settings)}
    keys.add(key(cache, "train", examples=examples, settings=settings | {"epochs": 4}))
    keys.add(key(cache, "evaluate", examples=examples, settings=settings))
    before = weights.stat()
    weights.write_text("2")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    keys.add(key(cache, "train", examples=examples, settings=settings))
    assert len(keys) == 5


def test_an_artifact_of_one_file_counts_by_its_content(
    begun: Callable[..., ContentCache], tmp_path: Path
) -> None:
    cache = begun("a")
    pages = [tmp_path / name for name in ("report", "same", "other")]
    for page, content in zip(pages, ("<p>1</p>", "<p>1</p>", "<p>2</p>"), strict=True):
        page.write_text(content)
    first, same, other = (
        key(cache, "explain", report=dsl.HTML(name="report", uri=str(page)), settings={})
        for page in pages
    )
    assert first
    assert first == same
    assert first != other


def test_a_key_follows_the_users_own_network(
    begun: Callable[..., ContentCache], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    settings = {"backbone": "my_networks:tiny"}
    keys = set()
    for name, content in (("my_networks", "1"), ("my_networks", "2"), ("beside_it", "3")):
        (tmp_path / f"{name}.py").write_text(content)
        keys.add(key(begun(f"run-{content}"), "train", settings=settings))
    assert len(keys) == 3


@pytest.mark.slow
def test_what_is_not_known_always_runs(begun: Callable[..., ContentCache], tmp_path: Path) -> None:
    cache = begun("a")
    (tmp_path / "foreign").mkdir()
    foreign = dsl.Dataset(name="examples", uri=str(tmp_path / "foreign"))
    assert key(cache, "train", examples=foreign, settings={}) == ""
    assert key(cache, "ingest", data=str(tmp_path / "nowhere"), settings={}) == ""
    assert key(cache, "notify", settings={}) == ""
    assert cache.get("") is None


def test_a_known_outcome_stands_in_the_next_runs_folder(
    begun: Callable[..., ContentCache], train: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    train(begun("a"), "k", "a")
    taken = begun("b").get("k")
    assert taken is not None
    assert taken["Output"] == 0.5
    model = Path(taken["model"].uri)
    assert model.is_relative_to(tmp_path / "b")
    assert (model / "records").read_text() == "weights"
    (entry,) = read_step_records(tmp_path / "b" / "journal")
    assert (entry["status"], entry["run"], entry["result"]) == ("cached", "a", {"accuracy": 0.9})
    assert entry["artifacts"] == {"model": str(model)}

    shutil.rmtree(tmp_path / "a")
    assert begun("c").get("k") is not None
    for run in ("b", "c"):
        shutil.rmtree(tmp_path / run)
    assert begun("d").get("k") is None


def test_an_outcome_that_is_no_more_what_it_was_is_not_taken(
    begun: Callable[..., ContentCache], train: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    model = Path(train(begun("a"), "k", "a")["model"].uri)
    assert begun("b", reads=False).get("k") is None
    artifact(model, "other weights", "model")
    assert begun("c").get("k") is None
    (tmp_path / ".cache" / "k.json").write_text("{")
    assert begun("d").get("k") is None


def test_a_damaged_artifact_is_made_again(
    begun: Callable[..., ContentCache],
    train: Callable[..., dict[str, Any]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One byte, of the same size; its manifest says nothing of it."""
    model = Path(train(begun("a"), "k", "a")["model"].uri)
    logging.getLogger("darkroom").propagate = True
    (model / "records").write_text("weightz")
    assert begun("b").get("k") is None
    assert "has changed since it was made: made again" in caplog.text
    train(begun("c"), "k", "c")
    taken = begun("d").get("k")
    assert taken is not None
    assert (Path(taken["model"].uri) / "records").read_text() == "weights"


def test_an_artifact_that_was_only_touched_stands(
    begun: Callable[..., ContentCache], train: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    model = Path(train(begun("a"), "k", "a")["model"].uri)
    os.utime(model / "records", (1, 1))
    assert begun("b").get("k") is not None


def test_an_outcome_of_a_file_that_changed_meanwhile_is_not_kept(
    begun: Callable[..., ContentCache], train: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    weights = tmp_path / "weights.h5"
    for meanwhile, kept in (("before", True), ("after", False)):
        weights.write_text("before")
        cache = begun(meanwhile)
        known = key(cache, "train", settings={"weights": str(weights), "seed": int(kept)})
        weights.write_text(meanwhile)
        train(cache, known, meanwhile)
        assert (begun(f"{meanwhile}-again").get(known) is not None) is kept


def test_what_an_attempt_left_unfinished_is_handed_on(
    begun: Callable[..., ContentCache], tmp_path: Path
) -> None:
    first = begun("a")
    settings = {"epochs": 3}
    key(first, "train", settings=settings)
    left = {name: str(tmp_path / "a" / name) for name in ("checkpoints", "rejected")}
    first.begin(left)
    Path(left["checkpoints"]).mkdir()
    (Path(left["checkpoints"]) / "training.npz").write_text("epoch 2")
    artifact(Path(left["rejected"]), "whole", "rejected")

    second = begun("b")
    key(second, "train", settings=settings)
    now = {name: str(tmp_path / "b" / name) for name in left}
    second.begin(now)
    assert (Path(now["checkpoints"]) / "training.npz").read_text() == "epoch 2"
    assert not Path(now["rejected"]).exists()

    other = begun("c")
    key(other, "train", settings={"epochs": 4})
    other.begin({"checkpoints": str(tmp_path / "c" / "checkpoints")})
    assert not (tmp_path / "c" / "checkpoints").exists()


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    for number, label in enumerate(("rose", "tulip", "rose")):
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / f"{number}.jpg").write_bytes(bytes([number]) * 100)
    return folder


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system gives every change a time of its own by now."""
    real = time.time
    monkeypatch.setattr("pipeline.targets.local.cache.time.time", lambda: real() + 10)


@pytest.mark.usefixtures("settled")
def test_a_changed_photograph_is_never_missed(photographs: Path) -> None:
    digests = [data_version(str(photographs), {})]
    assert data_version(str(photographs), {}) == digests[0]
    changed = photographs / "rose" / "0.jpg"
    times = changed.stat()
    time.sleep(0.02)
    changed.write_bytes(b"x" * 100)
    os.utime(changed, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert changed.stat().st_mtime_ns == times.st_mtime_ns
    digests.append(data_version(str(photographs), {}))
    changed.rename(photographs / "tulip" / "0.jpg")
    digests.append(data_version(str(photographs), {}))
    (photographs / "tulip" / "0.jpg").unlink()
    digests.append(data_version(str(photographs), {}))
    assert len(set(digests)) == 4


def test_a_photograph_changed_twice_at_once_is_not_missed(photographs: Path) -> None:
    """Both changes may bear the same time, so the content counts."""
    changed = photographs / "rose" / "0.jpg"
    changed.write_bytes(b"x" * 100)
    first = data_version(str(photographs), {})
    changed.write_bytes(b"y" * 100)
    assert data_version(str(photographs), {}) != first


def test_a_photographs_name_may_be_no_text(photographs: Path) -> None:
    before = data_version(str(photographs), {})
    (photographs / "rose" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x" * 100)
    assert data_version(str(photographs), {}) != before


@pytest.mark.usefixtures("settled")
def test_a_tables_photographs_and_rows_count(photographs: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("image,label\nphotographs/rose/0.jpg,rose\nphotographs/tulip/1.jpg,tulip\n")
    first = data_version(str(table), {})
    (photographs / "rose" / "2.jpg").write_text("in no row")
    assert data_version(str(table), {}) == first
    time.sleep(0.02)
    (photographs / "rose" / "0.jpg").write_bytes(b"y" * 100)
    second = data_version(str(table), {})
    table.write_text(table.read_text().replace(",tulip", ",lily"))
    assert len({first, second, data_version(str(table), {})}) == 3


def test_a_push_is_known_only_while_it_serves(
    begun: Callable[..., ContentCache], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = tmp_path / "served" / "1"
    with atomic_artifact(version) as temporary:
        (temporary / "saved_model.pb").write_bytes(b"graph")
        write_manifest(temporary, "model", {})
    digest = json.loads((version / "manifest.json").read_text())["digest"]
    cache = begun("a")
    monkeypatch.setenv(STEP_RECORDS_VARIABLE, str(tmp_path / "a" / "journal"))
    with atomic_artifact(tmp_path / "a" / "pushed") as temporary:
        place = {"destination": str(version.parent), "path": str(version), "digest": digest}
        write_manifest(temporary, "pushed", place)
    pushed = dsl.Artifact(name="pushed", uri=str(tmp_path / "a" / "pushed"))
    StepRecord("push", {"pushed": pushed.uri}).succeeded(str(version))
    cache.put("k", {"pushed": pushed})
    assert begun("b").get("k") is not None
    artifact(tmp_path / "served" / "2", "newer weights", "model")
    assert begun("b2").get("k") is not None  # what is half-copied serves nobody
    (tmp_path / "served" / "2" / "saved_model.pb").write_bytes(b"graph")
    assert begun("c").get("k") is None
    shutil.rmtree(tmp_path / "served" / "2")
    assert begun("d").get("k") is not None
    (version / "saved_model.pb").write_bytes(b"grapf")
    assert begun("damaged").get("k") is None
    (version / "saved_model.pb").write_bytes(b"graph")
    assert begun("mended").get("k") is not None
    shutil.rmtree(version)
    assert begun("e").get("k") is None


@pytest.mark.usefixtures("settled")
def test_a_file_in_the_current_directory_changes_nothing(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    first = data_version(str(photographs), {})
    (tmp_path / "here" / "large.bin").write_bytes(b"x")
    os.mkfifo(next(photographs.rglob("*.*")).with_name("pipe.jpg"))
    second = data_version(str(photographs), {})
    (tmp_path / "here" / "more.bin").write_bytes(b"x")
    assert data_version(str(photographs), {}) == second != first

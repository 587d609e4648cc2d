"""A run that builds on an earlier one reads what is new, and gives what a full run gives."""

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.ingest.settings import IngestSettings
from components.ingest.shards.build_examples import build_examples
from components.ingest.shards.index import NOTHING, find_index
from components.ingest.shards.summary import Summary
from components.ingest.tests.bucket import Bucket
from components.ingest.tests.pictures import encoded, gradient
from darkroom.records.example_proto import serialized_example

RunIngest = Callable[..., Any]


def record_set(ingested: Any) -> set[tuple[str, bytes]]:
    return {
        (split, serialized_example(record))
        for split, records in ingested.records.items()
        for record in records
    }


def put(folder: Path, name: str, seed: int) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(gradient(seed), "PNG"))


def start(folder: Path) -> None:
    for number in range(60):
        put(folder, f"rose/{number}.png", number)
        put(folder, f"tulip/{number}.png", 100 + number)


Edits = list[tuple[str, int, int]]
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["add", "copy", "conflict", "remove", "change", "relabel"]),
        st.integers(0, 59),
        st.integers(200, 230),
    ),
    max_size=12,
)


def apply(folder: Path, edit: str, number: int, seed: int) -> None:
    source = folder / "rose" / f"{number}.png"
    if edit == "add":
        put(folder, f"tulip/new {seed}.png", seed)
    elif not source.exists():
        return
    elif edit == "copy":
        shutil.copy(source, folder / "rose" / f"aa copy {seed}.png")
    elif edit == "conflict":
        # Before and after the other in the order of rows.
        label = "daisy" if seed % 2 else "tulip"
        (folder / label).mkdir(exist_ok=True)
        shutil.copy(source, folder / label / f"conflict {seed}.png")
    elif edit == "remove":
        source.unlink()
    elif edit == "change":
        source.write_bytes(encoded(gradient(seed), "PNG"))
    else:
        source.rename(folder / "tulip" / f"was rose {number}.png")


# Many conflicts are no reason to stop here.
WAYS: dict[str, dict[str, Any]] = {
    "as set by default": {"max_rejected": 1},
    "conflicts kept": {"conflicting_labels": "keep"},
    "tiles, conflicts and copies kept": {
        "conflicting_labels": "keep",
        "duplicates": "keep",
        "tiles": {"size": 16, "stride": 8},
    },
}


def assert_same(one: Any, other: Any) -> None:
    assert record_set(one) == record_set(other)
    assert one.examples.counts == other.examples.counts
    assert one.statistics == other.statistics
    assert sorted(map(str, one.rejected)) == sorted(map(str, other.rejected))


@pytest.mark.slow
@settings(max_examples=6, suppress_health_check=list(HealthCheck))
@given(EDITS, EDITS, st.sampled_from(sorted(WAYS)))
def test_the_record_set_is_that_of_a_full_run(
    tmp_path_factory: pytest.TempPathFactory, before: Edits, between: Edits, way: str
) -> None:
    from components.ingest.tests.conftest import ingest_into

    folder = tmp_path_factory.mktemp("incremental")
    data = folder / "data"
    start(data)
    for edit in before:
        apply(data, *edit)
    first = ingest_into(folder / "first", data, **WAYS[way])
    for edit in between:
        apply(data, *edit)
    full = ingest_into(folder / "full", data, **WAYS[way])
    previous = str(first.examples.folder)
    incremental = ingest_into(folder / "incremental", data, previous=previous, **WAYS[way])
    assert_same(incremental, full)
    # And once more, upon the incremental run itself.
    previous = str(incremental.examples.folder)
    assert_same(ingest_into(folder / "again", data, previous=previous, **WAYS[way]), full)


@pytest.mark.slow
@pytest.mark.parametrize("tiles", [None, {"size": 16, "stride": 8}])
def test_labels_of_copies_come_and_go_with_the_copies(
    tmp_path: Path, run_ingest: RunIngest, tiles: dict[str, int] | None
) -> None:
    data = tmp_path / "data"
    start(data)
    given: dict[str, Any] = {"conflicting_labels": "keep", "tiles": tiles}
    put(data, "tulip/both.png", 300)
    previous = None
    for step, labels in (
        ("alone", {"tulip"}),
        ("with one after", {"tulip", "violet"}),
        ("alone again", {"tulip"}),
        ("with one after again", {"tulip", "violet"}),
        ("with another before", {"daisy", "tulip", "violet"}),
        ("without the one after", {"daisy", "tulip"}),
        ("without the first", {"tulip"}),
    ):
        if step.startswith("with one after"):
            put(data, "violet/both.png", 300)
        elif step == "with another before":
            put(data, "daisy/both.png", 300)
        elif step in ("alone again", "without the one after"):
            (data / "violet/both.png").unlink()
        elif step == "without the first":
            (data / "daisy/both.png").unlink()
        ingested = run_ingest(data, step, previous=previous, **given)
        assert_same(ingested, run_ingest(data, f"{step}, full", **given))
        both = [r for r in ingested.all_records if b"/both" in r["image_path"][0]]
        assert {name.decode() for r in both for name in r["labels"]} == labels
        assert len(both) == (2 if tiles else 1)
        assert ingested.statistics["merged_labels"] == (len(labels) > 1)
        previous = str(ingested.examples.folder)


def test_only_new_photographs_are_read(
    tmp_path: Path, run_ingest: RunIngest, caplog: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "data"
    start(data)
    # These pictures are made of four colours: some are as near as copies are.
    few = {"near_duplicate_distance": 2}
    previous = str(run_ingest(data, "first", **few).examples.folder)
    put(data, "rose/new.png", 500)
    # Were a known photograph opened, it would be found missing.
    known = sorted(data.glob("tulip/*.png"))
    states = {file: file.stat() for file in known}
    for file in known:
        file.write_bytes(b"\0" * states[file].st_size)
        os.utime(file, ns=(states[file].st_atime_ns, states[file].st_mtime_ns))
    logging.getLogger("darkroom").propagate = True
    with caplog.at_level(logging.INFO, "darkroom.ingest"):
        second = run_ingest(data, "second", previous=previous, **few)
    assert sum(second.examples.counts.values()) == 121
    assert "1 photographs read" in caplog.text
    assert not second.rejected


def test_what_is_known_of_a_bucket_is_not_read_again(
    tmp_path: Path, run_ingest: RunIngest, caplog: pytest.LogCaptureFixture
) -> None:
    start(tmp_path / "data")
    root = "shelf://bucket/flowers"
    for number, file in enumerate(sorted((tmp_path / "data").glob("*/*.png"))):
        uri = f"{root}/{file.relative_to(tmp_path / 'data')}"
        Bucket.objects[uri] = file.read_bytes()
        Bucket.times[uri] = 1_000.0 + number
    try:
        few = {"near_duplicate_distance": 2}
        previous = str(run_ingest(root, "first", **few).examples.folder)
        put(tmp_path, "new.png", 500)
        for name in ("rose/new.png", "tulip/0.png"):  # a new one, and one that is written again
            Bucket.objects[f"{root}/{name}"] = (tmp_path / "new.png").read_bytes()
            Bucket.times[f"{root}/{name}"] = 5_000.0
        logging.getLogger("darkroom").propagate = True
        with caplog.at_level(logging.INFO, "darkroom.ingest"):
            second = run_ingest(root, "second", previous=previous, **few)
        full = run_ingest(root, "full", **few)
    finally:
        Bucket.objects.clear()
        Bucket.times.clear()
    assert "2 photographs read" in caplog.text
    assert_same(full, second)


def test_unchanged_shards_are_linked_not_copied(tmp_path: Path, run_ingest: RunIngest) -> None:
    data = tmp_path / "data"
    start(data)
    first = run_ingest(data, "first")
    second = run_ingest(data, "second", previous=str(first.examples.folder))
    for split in ("train", "valid", "test"):
        for one, two in zip(
            first.examples.shards(split), second.examples.shards(split), strict=True
        ):
            assert Path(one).samefile(two)


def test_other_settings_make_all_photographs_new(tmp_path: Path, run_ingest: RunIngest) -> None:
    data = tmp_path / "data"
    start(data)
    previous = run_ingest(data, "first").examples.folder
    assert find_index(previous, IngestSettings(max_rejected=0.5)) is not None
    assert find_index(previous, IngestSettings(salt="other")) is None
    again = run_ingest(data, "again", previous=str(previous), salt="other")
    full = run_ingest(data, "full", salt="other")
    assert record_set(again) == record_set(full)


def test_nothing_is_assembled_from_nothing(tmp_path: Path) -> None:
    built = build_examples([], NOTHING, IngestSettings(), str(tmp_path), tmp_path)
    assert (built.summary, built.rejections) == (Summary(), [])

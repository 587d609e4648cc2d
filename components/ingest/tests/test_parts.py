"""A source in parts and blocks gives the rows of one read whole, on a runner too."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.ingest.settings import IngestSettings
from components.ingest.shards.chunks import FEWEST_BYTES, LEAST_BYTES_A_ROW, Cut, Sizes
from components.ingest.shards.known import KnownMark, RowMark, find_matches
from components.ingest.sources.blocks import list_part
from components.ingest.sources.parts import find_parts
from components.ingest.sources.repeats import find_repeats
from components.ingest.sources.rows import Table
from components.ingest.sources.source import read_source
from components.ingest.tests.bucket import Bucket
from components.ingest.tests.pictures import encoded, gradient
from darkroom.errors import StepError
from darkroom.storage.files import create, upload
from darkroom.tests.cloud_storage import fake_cloud_storage, fake_s3

FILES = st.integers(0, 6).map(lambda number: f"{number}.jpg")
CELLS = st.sampled_from([None, "", 1, 7, 2.5, "x", "007", [1], 1 << 70, "ä"])
LINES = st.one_of(
    st.sampled_from(["", "   ", "[1]", '{"image": "1.jpg"}', "{broken"]),
    st.fixed_dictionaries(
        {"image": FILES, "label": st.sampled_from(["a", "b", ["a", "b"], ""])},
        optional={"camera": CELLS, "split": st.sampled_from(["train", "test", "valid", "x"])},
    ).map(lambda row: json.dumps(row, ensure_ascii=False)),
)
TABLES = st.lists(st.lists(LINES, max_size=12), min_size=1, max_size=3)


@pytest.fixture
def bucket() -> Iterator[dict[str, bytes]]:
    yield Bucket.objects
    Bucket.objects.clear()


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.ingest.sources.parts._RANGE_BYTES", 40)
    monkeypatch.setattr("components.ingest.sources.blocks.ROWS_A_BLOCK", 2)


def read(data: str) -> Table | str:
    try:
        return read_source(data, Path("unused"), IngestSettings(max_rejected=1))
    except StepError as error:
        return str(error)


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(TABLES, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_rows_and_reasons_do_not_depend_on_parts(
    tmp_path_factory: pytest.TempPathFactory,
    tables: list[list[str]],
    line_end: str,
    ends_with_one: bool,
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    for number, lines in enumerate(tables):
        text = line_end.join(lines) + line_end * ends_with_one
        (folder / f"{number}.jsonl").write_bytes(text.encode("utf-8-sig" if number else "utf-8"))
    whole = read(f"{folder}/*.jsonl")
    with pytest.MonkeyPatch.context() as monkeypatch:
        small(monkeypatch)
        assert read(f"{folder}/*.jsonl") == whole
        parts = find_parts(f"{folder}/*.jsonl", Path("unused"))
        size = sum(path.stat().st_size for path in folder.iterdir())
        assert len(parts) >= size / 40


def test_folders_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/1.jpg", "a/deep/2.jpg", "a/3.txt", "b/1.jpg", "c.jpg", "b/4.jpg", "b/5.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "b" / "above").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path)
    whole = read(str(tmp_path))
    assert isinstance(whole, Table)
    images = [row.image for row in whole.rows]
    assert images == ["a/1.jpg", "a/deep/2.jpg", "b/1.jpg", "b/4.jpg", "b/5.jpg"]
    small(monkeypatch)
    monkeypatch.setattr("components.ingest.sources.parts._MOST_FOLDER_PARTS", 2)
    assert read(str(tmp_path)) == whole
    parts = find_parts(str(tmp_path), tmp_path)
    assert len(parts) == 2
    assert len([block for part in parts for block in list_part(part, IngestSettings())]) > 2


def test_a_file_in_one_line_is_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darkroom.sources.table_records._MOST_CHARACTERS", 1000)
    rows = [{"image": f"{number}.jpg", "label": "a"} for number in range(100)]
    for name in ("rows.jsonl", "rows.csv"):
        (tmp_path / name).write_text(json.dumps(rows))
        with pytest.raises(StepError, match=rf"{name} line 1 has more than 1,000 characters"):
            read_source(str(tmp_path / name), tmp_path)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=40))
def test_the_first_of_equal_rows_stays(rows: list[tuple[int, int]]) -> None:
    """Against a dictionary of all that has been seen."""
    rows.sort(key=lambda row: row[1])  # by part
    seen: dict[int, tuple[int, int]] = {}
    expected = []
    keys = np.zeros((len(rows), 4), np.uint64)
    for line, (key, part) in enumerate(rows):
        keys[line] = (key, key * 7, part << 32 | 5, line)
        if key in seen:
            expected.append((part, line, *seen[key]))
        seen.setdefault(key, (part, line))
    order = np.random.default_rng(0).permutation(len(rows))
    found = [
        (place[0], repeat.line, repeat.part, repeat.first)
        for place, repeats in find_repeats(keys[order]).items()
        for repeat in repeats
        if place[1] == 5
    ]
    assert sorted(found) == sorted(expected)


@given(st.lists(st.integers(LEAST_BYTES_A_ROW, 3 * FEWEST_BYTES), min_size=1), st.data())
def test_blocks_are_cut_as_one_row_of_files(sizes: list[int], data: st.DataObject) -> None:
    total = Sizes()
    total.add(sizes)
    cut = Cut.of(total, data.draw(st.integers(1_000_000, 10 * FEWEST_BYTES)))
    places = cut.places(sizes)
    # Every chunk has a file, and none is larger than it may be.
    assert sorted(set(places)) == list(range(cut.count(total)))
    counted = [min(size, cut.file) for size in sizes]
    for chunk in set(places):
        assert sum(c for c, p in zip(counted, places, strict=True) if p == chunk) < (
            cut.chunk + cut.file
        )
    middle = data.draw(st.integers(0, len(sizes)))
    before = Sizes()
    before.add(sizes[:middle])
    later = cut.places(sizes[middle:], before.within(cut.file))
    assert cut.places(sizes[:middle]) + later == places


MARKS = st.integers(0, 4).map(lambda number: bytes([number]))


@given(
    st.lists(MARKS, max_size=12),
    st.lists(st.tuples(MARKS, st.booleans(), st.integers(0, 2)), max_size=12),
)
def test_known_rows_by_their_definition(
    rows: list[bytes], known: list[tuple[bytes, bool, int]]
) -> None:
    entries = [KnownMark(*each, place) for place, each in enumerate(known)]
    marks = [RowMark(mark, ordinal) for ordinal, mark in enumerate(rows)]
    found = {match.ordinal: match for match in find_matches(marks, entries)}
    for ordinal, mark in enumerate(rows):
        alike = [entry for entry in entries if entry.mark == mark]
        assert (ordinal in found) == bool(alike)
        if alike:
            stored = [entry for entry in alike if entry.is_kept]
            owner = max(stored or alike, key=lambda entry: (entry.part, entry.place))
            match = found[ordinal]
            assert (match.part, match.place) == (owner.part, owner.place)
            assert match.is_stored == (bool(stored) and mark not in rows[:ordinal])


def test_rows_that_repeat_others_decide_nothing(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(
        "image,label,split,iso\na.jpg,x,train,1\na.jpg,x,test,high\nb.jpg,y,train,2\n"
    )
    table = read(str(tmp_path / "rows.csv"))
    assert isinstance(table, Table)
    assert table.columns == {"iso": "int"}
    assert {row.splits for row in table.rows} == {("train", "valid", "test")}


def test_what_is_beside_folders_in_a_bucket(bucket: dict[str, bytes]) -> None:
    for name in ("train/rose/1.jpg", "valid/rose/2.jpg", "annotations/xml/1.xml"):
        bucket[f"shelf://b/d/{name}"] = b""
    table = read("shelf://b/d")
    assert isinstance(table, Table)
    assert [row.label for row in table.rows] == ["rose", "rose"]


@pytest.mark.slow
def test_an_object_may_have_the_name_of_a_folder() -> None:
    with fake_s3():
        for name in ("roses", "roses/1.jpg", "tulips/2.jpg"):
            create(f"s3://bucket/flowers/{name}", b"")
        table = read("s3://bucket/flowers")
    assert isinstance(table, Table)
    assert [row.image for row in table.rows] == ["roses/1.jpg", "tulips/2.jpg"]


@pytest.mark.slow
def test_ranges_of_a_table_in_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [json.dumps({"image": f"/{n}.jpg", "label": "ä" * (n % 7)}) for n in range(30)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    small(monkeypatch)
    with fake_cloud_storage():
        upload([tmp_path / "rows.jsonl"], "gs://bucket/tables")
        there = read("gs://bucket/tables/rows.jsonl")
    here = read(str(tmp_path / "rows.jsonl"))
    assert isinstance(here, Table)
    assert isinstance(there, Table)
    assert there.rows == here.rows
    assert [each.row["line"] for each in there.rejections] == [
        each.row["line"] for each in here.rejections
    ]


@pytest.mark.slow
def test_where_every_row_is_refused_workers_say_so(
    tmp_path: Path, run_ingest: Callable[..., Any]
) -> None:
    (tmp_path / "rows.jsonl").write_text('{"image": "1.jpg"}\n{broken\n')
    with pytest.raises(StepError, match="no usable image: all 2 rows were rejected"):
        run_ingest(tmp_path / "rows.jsonl", beam_options=["--runner=DirectRunner"])


@pytest.mark.slow
def test_tables_listed_by_workers(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_ingest: Callable[..., Any],
) -> None:
    """In blocks of two rows, with what only all rows decide; and once more, upon that run."""
    small(monkeypatch)
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number}.png").write_bytes(encoded(gradient(number), "PNG"))
    lines: list[dict[str, Any]] = [
        {"image": f"{n}.png", "label": "ab"[n % 2], "split": ("train", "test")[n % 3 == 0]}
        for n in range(40)
    ]
    lines[3]["shutter"] = 5
    lines[30]["shutter"] = "1/60"
    lines += [lines[4], lines[4]]
    lines += [{"image": "5.png", "label": ["c", "b"], "split": "train"}, {"image": "gone.png"}]

    def write(rows: list[dict[str, Any]]) -> None:
        half = len(rows) // 2
        for name, part in (("one.jsonl", rows[:half]), ("two.jsonl", rows[half:])):
            (folder / name).write_text("".join(f"{json.dumps(row)}\n" for row in part))

    write(lines)
    ratios = {"train": 0.5, "valid": 0.3, "test": 0.2}
    given: dict[str, Any] = {"split": ratios, "max_rejected": 1}
    runner = {"beam_options": ["--runner=DirectRunner"]}
    here = run_ingest(f"{folder}/*.jsonl", "here", **given)
    there = run_ingest(f"{folder}/*.jsonl", "there", **runner, **given)
    assert there.records == here.records
    assert there.rejected == here.rejected
    assert there.statistics == here.statistics
    for fact in ("digest", "columns", "counts", "rejected", "multi_label"):
        assert there.examples.manifest[fact] == here.examples.manifest[fact]
    assert here.examples.manifest["columns"] == {"shutter": "bytes"}
    assert {"duplicate_row", "no_label"} <= set(here.reasons.values())
    details = [each["detail"] for each in here.rejected if each["reason"] == "duplicate_row"]
    assert details == [f"the same image and label as line 5 of {folder}/one.jsonl"] * 2
    # Rows that are removed, added, changed and moved.
    (folder / "new.png").write_bytes(encoded(gradient(77), "PNG"))
    os.utime(folder / "6.png", (1, 1))
    write([{"image": "new.png", "label": "a", "split": "train"}, *lines[7:], *lines[:5], lines[6]])
    previous = str(there.examples.folder)
    there = run_ingest(f"{folder}/*.jsonl", "there 2", previous=previous, **runner, **given)
    here = run_ingest(f"{folder}/*.jsonl", "here 2", previous=previous, **given)
    full = run_ingest(f"{folder}/*.jsonl", "full", **given)
    assert there.records == here.records
    assert there.rejected == here.rejected
    assert there.statistics == here.statistics == full.statistics
    assert there.examples.manifest["digest"] == here.examples.manifest["digest"]
    names = {record["image_path"][0] for record in there.all_records}
    assert names == {record["image_path"][0] for record in full.all_records}

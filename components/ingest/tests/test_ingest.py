"""The step as a whole: every row ends as an example or as a rejected row."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.ingest.tests.pictures import encoded, gradient, write_csv
from darkroom.errors import SettingsError, StepError
from darkroom.images.photograph import read_photograph

Photographs = Callable[[int], Path]
RunIngest = Callable[..., Any]


def test_a_folder_of_label_folders(photographs: Photographs, run_ingest: RunIngest) -> None:
    folder = photographs(40)
    (folder / "LICENSE.txt").write_text("beside the labels, not a row")
    ingested = run_ingest(folder)
    assert ingested.examples.labels == ("daisy", "rose")
    assert sum(ingested.examples.counts.values()) == len(ingested.all_records) == 80
    for record in ingested.all_records:
        label, path = record["label"][0].decode(), record["image_path"][0].decode()
        assert path.startswith(f"{label}/")
        assert record["image_bytes"][0] == (folder / path).read_bytes()
        assert (record["height"], record["width"]) == ([16], [24])
    assert {split: len(r) for split, r in ingested.records.items()} == ingested.examples.counts
    assert ingested.statistics["formats"] == {"JPEG": 80}
    assert sum(ingested.statistics["histograms"]["brightness"]) == 80


def test_kept_copies_share_a_split_and_other_data_moves_none(
    photographs: Photographs, run_ingest: RunIngest
) -> None:
    folder = photographs(40)
    before = run_ingest(folder, "before", duplicates="keep")
    for number in range(40):
        copy = folder / "rose" / f"copy of {number}.jpg"
        copy.write_bytes((folder / "rose" / f"{number}.jpg").read_bytes())
    after = run_ingest(folder, "after", duplicates="keep")
    places: dict[bytes, set[str]] = {}
    for split, records in [*before.records.items(), *after.records.items()]:
        for record in records:
            places.setdefault(record["image_id"][0], set()).add(split)
    assert len(after.all_records) == 120
    assert all(len(splits) == 1 for splits in places.values())


def test_the_same_data_gives_the_same_bytes(
    photographs: Photographs, run_ingest: RunIngest
) -> None:
    folder = photographs(40)
    first, second = run_ingest(folder, "first"), run_ingest(folder, "second")
    for split in ("train", "valid", "test"):
        shards = [ingested.examples.shards(split) for ingested in (first, second)]
        contents = [[Path(shard).read_bytes() for shard in each] for each in shards]
        assert contents[0] == contents[1]


def test_a_table_with_typed_columns_and_groups(tmp_path: Path, run_ingest: RunIngest) -> None:
    rows = []
    for number in range(60):
        (tmp_path / f"{number}.png").write_bytes(encoded(gradient(number), "PNG"))
        rows.append(
            {
                "camera": ["Leica, M6", "Nikon"][number % 2],
                "image": f"{number}.png",
                "patient": str(number // 3),
                "label": ["a", "b"][number % 2],
                "age": str(number / 2),
            }
        )
    table = write_csv(tmp_path / "table.csv", rows, encoding="utf-8-sig")
    ingested = run_ingest(table, group_by="patient")
    assert ingested.examples.columns == {"camera": "bytes", "patient": "int", "age": "float"}
    assert {record["camera"][0] for record in ingested.all_records} == {b"Leica, M6", b"Nikon"}
    splits_by_patient: dict[int, set[str]] = {}
    for split, records in ingested.records.items():
        for record in records:
            splits_by_patient.setdefault(record["patient"][0], set()).add(split)
    assert len(splits_by_patient) == 20
    assert all(len(splits) == 1 for splits in splits_by_patient.values())


def test_every_bad_row_ends_with_its_reason(tmp_path: Path, run_ingest: RunIngest) -> None:
    good = [(f"{number}.jpg", encoded(gradient(number), "JPEG")) for number in range(120)]
    whole = encoded(gradient(9, (300, 300)), "JPEG")
    empty_width = bytearray(encoded(gradient(5), "PNG"))
    empty_width[16:20] = b"\0\0\0\0"
    bad = [
        ("truncated.jpg", whole[: len(whole) // 2], "truncated"),
        ("text.jpg", b"hello\n", "not_an_image"),
        ("empty.jpg", b"", "empty_file"),
        ("zero.png", bytes(empty_width), "zero_size"),
    ]
    lines = ["image,label,camera"]
    for number, (name, data) in enumerate(good):
        (tmp_path / name).write_bytes(data)
        lines.append(f"{name},{'ab'[number % 2]},x")
    for name, data, _ in bad:
        (tmp_path / name).write_bytes(data)
        lines.append(f"{name},a,x")
    (tmp_path / "a folder.jpg").mkdir()
    lines += ["absent.jpg,a,x", "0.jpg,,x", "1.jpg,a", "2.jpg", "a folder.jpg,b,x", ",a,x"]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(lines))

    ingested = run_ingest(table, max_rejected=0.1)

    assert ingested.reasons == {name: reason for name, _, reason in bad} | {
        "absent.jpg": "missing_file",
        "a folder.jpg": "unreadable_file",
        f"{{'file': '{table}', 'line': 127, 'fields': ['0.jpg', '', 'x']}}": "no_label",
        f"{{'file': '{table}', 'line': 128, 'fields': ['1.jpg', 'a']}}": "too_few_columns",
        f"{{'file': '{table}', 'line': 129, 'fields': ['2.jpg']}}": "too_few_columns",
        f"{{'file': '{table}', 'line': 131, 'fields': ['', 'a', 'x']}}": "missing_file",
    }
    assert len(ingested.all_records) + len(ingested.rejected) == len(lines) - 1
    assert sum(ingested.examples.manifest["rejected"].values()) == 10


def test_labels_outside_the_given_list_are_rejected(
    photographs: Photographs, run_ingest: RunIngest
) -> None:
    folder = photographs(40)
    (folder / "weed").mkdir()
    (folder / "weed" / "1.jpg").write_bytes((folder / "rose" / "1.jpg").read_bytes())
    ingested = run_ingest(folder, labels=["tulip", "rose", "daisy"])
    assert ingested.examples.labels == ("daisy", "rose", "tulip")
    assert ingested.reasons == {"weed/1.jpg": "unknown_label"}


def empty_folder(tmp_path: Path) -> Path:
    (tmp_path / "empty" / "rose").mkdir(parents=True)
    return tmp_path / "empty"


def test_failures_are_clear_and_leave_nothing_half_written(
    tmp_path: Path, photographs: Photographs, run_ingest: RunIngest
) -> None:
    folder = photographs(40)

    def fails(data: Path, message: str, **settings: Any) -> None:
        with pytest.raises(StepError, match=message):
            run_ingest(data, **settings)
        out = tmp_path / "out"
        assert not (out / "examples").exists()
        assert not (out / "statistics").exists()
        assert not list(out.glob(".*partial*"))

    fails(empty_folder(tmp_path), "no image at all")
    fails(folder, "no photograph fell into the valid split", split={"valid": 1e-9})
    (folder / "daisy").rename(tmp_path / "daisy")
    fails(folder, "one single label, 'rose'")
    (tmp_path / "daisy").rename(folder / "daisy")
    for number in range(5):
        (folder / "rose" / f"bad {number}.jpg").write_text("no picture")
    fails(folder, r"5 of 85 rows rejected \(5.9%, more than ingest.max_rejected 5.0%\)")
    listed = (tmp_path / "out" / "rejected" / "rejected.jsonl").read_text().splitlines()
    assert [json.loads(line)["reason"] for line in listed] == ["not_an_image"] * 5
    for file in folder.rglob("*.jpg"):
        file.write_bytes(b"")
    fails(folder, "no usable image: all 85 rows were rejected")


def test_data_that_is_not_there_is_a_settings_error(run_ingest: RunIngest, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        run_ingest(tmp_path / "nowhere")


def test_unusable_tables_stop_early(tmp_path: Path, run_ingest: RunIngest) -> None:
    table = tmp_path / "table.csv"
    for content, message in (
        (b"picture,label\n1.jpg,a\n", "no column 'image'"),
        (b"image,label,height\n1.jpg,a,3\n", "'height' is used by Darkroom"),
        (b"image,label,x,x\n1.jpg,a,3,4\n", "names a column twice"),
        ("image,label\né.jpg,a\n".encode("latin-1"), "not UTF-8 text"),
        (b"image,label\n", "no image at all"),
    ):
        table.write_bytes(content)
        with pytest.raises(StepError, match=message):
            run_ingest(table)


def test_group_by_offers_the_nearest_column(tmp_path: Path, run_ingest: RunIngest) -> None:
    table = tmp_path / "table.csv"
    table.write_text("image,label,patient\n1.jpg,a,7\n")
    with pytest.raises(SettingsError, match="did you mean 'patient'"):
        run_ingest(table, group_by="patiant")


def test_the_digits_come_with_the_package(run_ingest: RunIngest) -> None:
    ingested = run_ingest("sklearn:digits", near_duplicate_distance=-1)
    assert len(ingested.all_records) == 1797
    assert ingested.examples.labels == tuple("0123456789")
    assert not [path for path in ingested.examples.folder.iterdir() if path.is_dir()]


@pytest.mark.slow
def test_every_flower_is_accounted_for(run_ingest: RunIngest, flowers: Path) -> None:
    ingested = run_ingest(flowers)
    files = list(flowers.glob("*/*.jpg"))
    assert len(ingested.all_records) + len(ingested.rejected) == len(files) == 3483
    photograph_bytes = sum(file.stat().st_size for file in files)
    record_bytes = sum(s.stat().st_size for s in ingested.examples.folder.glob("*.tfrecord"))
    assert record_bytes / photograph_bytes < 1.03


def test_a_photograph_is_described_in_full() -> None:
    photograph = read_photograph(encoded(gradient(1, (24, 16)), "PNG"))
    assert (photograph.height, photograph.width, photograph.file_format) == (16, 24, "PNG")


def test_shards_are_counted_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.ingest.settings import IngestSettings
    from components.ingest.shards.chunks import chunks_of
    from components.ingest.sources.rows import Row

    monkeypatch.setattr("components.ingest.shards.chunks.FEWEST_BYTES", 1000)
    monkeypatch.setattr("components.ingest.shards.chunks.LEAST_BYTES_A_ROW", 1)
    rows = []
    for number, size in enumerate([400, 400, 400, 5000, 10, 10]):
        file = tmp_path / f"{number}"
        file.write_bytes(b"x" * size)
        rows.append(Row(file.name, str(file), "a"))
    rows.append(Row("gone", str(tmp_path / "gone"), "a"))
    parts = [[row.image for row in chunk.rows] for chunk in chunks_of(rows, IngestSettings())]
    # The large one counts as the largest power of two that is no more than a chunk.
    assert parts == [["0", "1"], ["2", "3", "4", "5", "gone"]]
    afar = [Row(f"{n}", f"gs://bucket/{n}", "a") for n in range(3)]
    assert len(chunks_of(afar, IngestSettings())) == 3


@pytest.mark.parametrize("columns", ["image;label", ["image;label"], ["image,label"]])
def test_columns_written_as_one_text_are_named(columns: object) -> None:
    from components.ingest.settings import IngestSettings
    from darkroom.errors import SettingsError
    from darkroom.settings import validate_settings

    with pytest.raises(SettingsError, match=r"a list of names is expected: \[image, label\]"):
        validate_settings(IngestSettings, {"columns": columns}, "ingest")

"""Layouts and tables as other tools write them: read as their authors meant, or refused."""

import os
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from components.ingest.settings import IngestSettings
from components.ingest.sources.source import read_source
from components.ingest.splits.split import split_of
from components.ingest.tests.test_sources import read, read_text
from darkroom.artifacts.rejected import Reason, RejectedError
from darkroom.errors import SettingsError
from darkroom.sources.storage import read_file


def files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def by_image(folder: Path) -> dict[str, tuple[str, str | None]]:
    return {row.image: (row.label, row.split) for row in read(folder).rows}


@pytest.mark.parametrize(
    "names",
    [("train", "val", "test"), ("Training", "dev", "TESTING"), ("train", "validation", "eval")],
)
def test_folders_named_as_splits_are_splits(tmp_path: Path, names: tuple[str, str, str]) -> None:
    data = files(tmp_path, *(f"{name}/rose/deep/{name}.jpg" for name in names))
    assert list(by_image(data).values()) == [
        ("rose", split) for _, split in sorted(zip(names, ("train", "valid", "test"), strict=True))
    ]


def test_a_photograph_beside_the_label_folders_of_a_split_has_no_label(tmp_path: Path) -> None:
    table = read(files(tmp_path, "train/rose/1.jpg", "test/rose/2.jpg", "train/lost.jpg"))
    assert [(r.row["image"], r.reason) for r in table.rejections] == [
        ("train/lost.jpg", Reason.NO_LABEL)
    ]


def test_one_label_that_is_named_as_a_split_is_a_label(tmp_path: Path) -> None:
    data = files(tmp_path, "train/1.jpg", "plane/2.jpg")
    assert by_image(data) == {"train/1.jpg": ("train", None), "plane/2.jpg": ("plane", None)}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train/1.jpg", "test/2.jpg"), "test, train are splits, and need label folders in them"),
        (
            ("train/rose/1.jpg", "test/rose/2.jpg", "more/3.jpg"),
            "test, train are splits, and more beside them is none",
        ),
    ],
)
def test_splits_that_cannot_be_labels_are_refused(
    tmp_path: Path, names: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        read(files(tmp_path, *names))


def test_two_spellings_of_a_label_are_one(tmp_path: Path) -> None:
    spellings = [unicodedata.normalize(form, "Jasmín") for form in ("NFC", "NFD")]
    data = files(tmp_path / "data", *(f"{name}/{n}.jpg" for n, name in enumerate(spellings)))
    assert {row.label for row in read(data).rows} == {spellings[0]}
    text = "image,label\n" + "".join(f"{n}.jpg,{name}\n" for n, name in enumerate(spellings))
    assert {row.label for row in read_text(tmp_path, text).rows} == {spellings[0]}
    assert IngestSettings(labels=(spellings[1], "rose")).labels == (spellings[0], "rose")


def test_a_table_s_paths_are_found_in_either_spelling_and_with_backslashes(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    files(tmp_path, f"{decomposed}/1.jpg", "rose/2.jpg")
    table = read_text(tmp_path, f"image,label\n{composed}/1.jpg,a\nrose\\2.jpg,b\n")
    assert all(Path(row.location).exists() for row in table.rows)
    assert [row.image for row in table.rows] == [f"{composed}/1.jpg", "rose\\2.jpg"]


def test_a_label_is_the_same_as_a_number_and_as_text(tmp_path: Path) -> None:
    lines = [
        f'{{"image": "{n}.jpg", "label": {label}}}' for n, label in enumerate(("1", '"1"', "1.0"))
    ]
    table = read_text(tmp_path, "\n".join(lines), "table.jsonl")
    assert [row.label for row in table.rows] == ["1"] * 3
    assert IngestSettings.model_validate({"labels": [1, "2"]}).labels == ("1", "2")
    csv = read_text(tmp_path, "image,label\n1.jpg,01\n2.jpg,1\n")
    assert [row.label for row in csv.rows] == ["01", "1"]


@pytest.mark.parametrize("name", ["table.csv", "table.jsonl"])
def test_a_label_with_a_line_break_is_a_rejected_row(tmp_path: Path, name: str) -> None:
    csv = 'image,label\n1.jpg,"a\nb"\n2.jpg,c\n'
    lines = '{"image": "1.jpg", "label": "a\\nb"}\n{"image": "2.jpg", "label": "c"}\n'
    table = read_text(tmp_path, csv if name.endswith("csv") else lines, name)
    assert [row.label for row in table.rows] == ["c"]
    assert [(r.reason, r.detail) for r in table.rejections] == [
        (Reason.MALFORMED_ROW, "the label holds a line break")
    ]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_other_delimiters_are_read(tmp_path: Path, mark: str) -> None:
    text = f'image{mark}label{mark}city\r\n1.jpg{mark}rose{mark}"a, b"\r\n'
    (row,) = read_text(tmp_path, text).rows
    assert (row.image, row.label, row.columns) == ("1.jpg", "rose", {"city": "a, b"})
    (row,) = read_text(tmp_path, f"1.jpg{mark}rose\n", columns=("image", "label")).rows
    assert (row.image, row.label) == ("1.jpg", "rose")


@pytest.mark.parametrize("name", ["Split", "SPLIT", " split "])
def test_the_split_column_s_name_may_be_in_capitals(tmp_path: Path, name: str) -> None:
    (row,) = read_text(tmp_path, f"image,label,{name}\n1.jpg,a,Val\n").rows
    assert (row.split, row.columns) == ("valid", {})
    line = f'{{"image": "1.jpg", "label": "a", "{name}": "TESTING"}}'
    (row,) = read_text(tmp_path, line, "t.jsonl").rows
    assert (row.split, row.columns) == ("test", {})


def test_a_column_that_may_hold_splits_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read_text(tmp_path, "image,label,subset\n1.jpg,a,train\n")
    assert "column 'subset' is an extra column; if it holds the splits" in caplog.text


@pytest.mark.parametrize("named", [("train", "test"), ("train", "valid"), ("train",)])
def test_splits_that_no_row_asks_for_come_out_of_train(
    tmp_path: Path, named: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    rows = "".join(f"{n}.jpg,a,{named[n % len(named)]}\n" for n in range(20))
    table = read_text(tmp_path, f"image,label,split\n{rows}")
    lacking = tuple(s for s in ("valid", "test") if s not in named)
    assert f"no row asks for {' or '.join(sorted(lacking, reverse=True))}" in caplog.text
    for number, row in enumerate(table.rows):
        if named[number % len(named)] == "train":
            assert row.split is None
            assert set(row.splits) == {"train", *lacking}
        else:
            assert row.split == named[number % len(named)]
    ratios = IngestSettings().split
    drawn = {split_of(str(n), "", ratios, ("train", "valid")) for n in range(200)}
    assert drawn == {"train", "valid"}


def test_an_archive_is_read(tmp_path: Path) -> None:
    data = files(tmp_path / "made" / "flower_photos", "rose/1.jpg", "tulip/2.jpg", "LICENSE.txt")
    for kind in ("zip", "gztar"):
        archive = shutil.make_archive(str(tmp_path / "photos"), kind, data.parent)
        folder = tmp_path / kind
        folder.mkdir()
        table = read_source(archive, folder)
        assert [row.label for row in table.rows] == ["rose", "tulip"]
        assert all(Path(row.location).exists() for row in table.rows)
    (tmp_path / "broken.zip").write_bytes(b"PK\3\4")
    with pytest.raises(SettingsError, match=r"broken.zip does not unpack"):
        read_source(str(tmp_path / "broken.zip"), tmp_path / "x")


def test_what_systems_and_tools_leave_is_no_photograph(tmp_path: Path) -> None:
    data = files(
        tmp_path,
        *("rose/1.jpg", "rose/1.json", "rose/1.txt", "rose/IMG.MOV", "rose/@eaDir/1.jpg/S.jpg"),
        *("$RECYCLE.BIN/2.jpg", "__MACOSX/rose/._1.jpg", "README.md"),
    )
    table = read(data)
    assert [row.image for row in table.rows] == ["rose/1.jpg"]
    assert table.side_files == ["README.md", "rose/1.json", "rose/1.txt", "rose/IMG.MOV"]
    assert table.rejections == []


@pytest.mark.parametrize("ending", ["avif", "jp2", "ico", "TGA", "heic", "jfif"])
def test_every_format_beside_the_label_folders_is_a_rejected_row(
    tmp_path: Path, ending: str
) -> None:
    (rejection,) = read(files(tmp_path, f"lost.{ending}", "rose/1.jpg")).rejections
    assert rejection.reason == Reason.NO_LABEL


@pytest.mark.parametrize("kind", ["pipe", "device", "loop"])
def test_only_regular_files_are_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "rose" / "1.jpg"
    path.parent.mkdir()
    make: dict[str, Any] = {
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "loop": lambda: path.symlink_to(path),
    }
    make[kind]()
    (row,) = read(tmp_path).rows
    with pytest.raises(RejectedError) as caught:
        read_file(row.location)
    assert caught.value.reason == Reason.UNREADABLE_FILE

"""Tables, folders and buckets give the same rows; what is wrong with a row is its reason."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.ingest.settings import IngestSettings
from components.ingest.sources.rows import Row, Table
from components.ingest.sources.source import read_source
from darkroom.artifacts.examples import normalized
from darkroom.errors import SettingsError, StepError
from darkroom.settings import validate_settings


def read(data: Path | str, **settings: Any) -> Table:
    return read_source(str(data), Path("unused"), validate_settings(IngestSettings, settings))


def read_text(folder: Path, text: str, name: str = "table.csv", **settings: Any) -> Table:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return read(folder / name, **settings)


def reasons(table: Table) -> dict[Any, str]:
    """Reason by line number of the rejected rows."""
    return {rejection.row["line"]: rejection.reason for rejection in table.rejections}


def test_cells_may_hold_commas_quotes_and_newlines(tmp_path: Path) -> None:
    text = 'image,label,note\r\n"a, b.jpg", "rose ""red""", "two\nlines"\r\n'
    (row,) = read_text(tmp_path, text).rows
    location = f"{tmp_path}/a, b.jpg"
    assert row == Row("a, b.jpg", location, 'rose "red"', {"note": "two\nlines"})


# A cell's outer blanks are no part of it, and an empty cell is missing.
cells = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(str.strip).filter(bool)
# What looks like an address would be asked for; Hypothesis tries strings that it finds in the code.
names = cells.filter(lambda name: "://" not in name)
# A label has one spelling, and fits a line.
labels = cells.map(normalized).filter(lambda label: not {"\n", "\r"} & set(label))


@given(st.lists(st.tuples(names, labels, st.none() | cells), max_size=8), st.booleans())
def test_every_cell_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    written: list[tuple[str, str, str | None]],
    with_mark: bool,
) -> None:
    folder = tmp_path_factory.mktemp("cells")
    with (folder / "t.csv").open(
        "w", encoding="utf-8-sig" if with_mark else "utf-8", newline=""
    ) as file:
        csv.writer(file).writerows([("image", "label", "note"), ("1", "2", "a word"), *written])
    table = read(folder / "t.csv")
    expected = {(image, label): note for image, label, note in reversed(written)}
    expected.setdefault(("1", "2"), "a word")
    read_back = {(row.image, row.label): row.columns.get("note") for row in table.rows}
    assert read_back == {**expected, ("1", "2"): "a word"}
    assert len(table.rows) + len(table.rejections) == len(written) + 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.ndjson"])
def test_utf_8_with_and_without_byte_order_mark(tmp_path: Path, encoding: str, name: str) -> None:
    text = (
        "image,label\né.jpg,Küche\n"
        if name == "t.csv"
        else '{"image": "é.jpg", "label": "Küche"}\n'
    )
    (tmp_path / name).write_text(text, encoding=encoding)
    (row,) = read(tmp_path / name).rows
    assert (row.image, row.label) == ("é.jpg", "Küche")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "cp1252"])
def test_another_encoding_is_a_clear_error(tmp_path: Path, encoding: str) -> None:
    lines = ["image,label", *(f"{number}.jpg,rose" for number in range(2000)), "é.jpg,rose"]
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding=encoding)
    line = {"utf-16": r" \(line 1\)", "utf-16-le": ""}.get(encoding, r" \(line 2002\)")
    with pytest.raises(StepError, match=f"t.csv is not UTF-8 text{line}.*save it as UTF-8"):
        read(tmp_path / "t.csv")


def test_json_lines_keep_the_types_they_have(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {"image": "1.jpg", "label": "rose", "age": 31, "size": 1.5, "code": "12", "wet": True},
        {"image": "2.jpg", "label": 7, "age": None, "size": 2, "code": "", "box": [1, 2]},
    ]
    text = "\n".join(map(json.dumps, records)) + "\n\n"
    table = read_text(tmp_path, text, "t.jsonl")
    assert table.columns == {
        "age": "int",
        "size": "float",
        "code": "bytes",
        "wet": "int",
        "box": "bytes",
    }
    first, second = table.rows
    assert first.columns == {"age": 31, "size": 1.5, "code": "12", "wet": 1}
    assert second.columns == {"size": 2.0, "box": "[1, 2]"}
    assert isinstance(second.columns["size"], float)
    assert second.label == "7"


def test_a_json_line_that_does_not_parse_is_a_rejected_row(tmp_path: Path) -> None:
    bad = ["{", "[1]", '{"image": NaN}', '{"label": "\\ud800"}', "[" * 100_000, '{"x": 1} more']
    bad += ['{"image": 3, "label": "a"}', '{"image": "1.jpg", "label": {"a": 1}}']
    good = '{"image": "1.jpg", "label": "rose"}'
    table = read_text(tmp_path, "\n".join([*bad, good]), "t.jsonl")
    assert [row.image for row in table.rows] == ["1.jpg"]
    assert reasons(table) == dict.fromkeys(range(1, len(bad) + 1), "malformed_row")
    assert table.rejections[0].row == {"file": f"{tmp_path}/t.jsonl", "line": 1, "text": "{"}
    json.dumps([r.row for r in table.rejections], ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["1", "-2", ""], "int", [1, -2, None]),
        (["9223372036854775807"], "int", [2**63 - 1]),
        (["9223372036854775808"], "bytes", ["9223372036854775808"]),
        (["1", "2.5", "", "1e3"], "float", [1.0, 2.5, None, 1000.0]),
        (["1.5", "1e300"], "bytes", ["1.5", "1e300"]),
        (["1", "nan"], "bytes", ["1", "nan"]),
        (["inf"], "bytes", ["inf"]),
        (["7", "007"], "bytes", ["7", "007"]),
        (["1_000"], "bytes", ["1_000"]),
        (["٣"], "bytes", ["٣"]),
        (["."], "bytes", ["."]),
        (["", ""], "bytes", [None, None]),
        (["1", "a"], "bytes", ["1", "a"]),
    ],
)
def test_a_column_has_the_narrowest_type_that_loses_nothing(
    tmp_path: Path, values: list[str], kind: str, expected: list[object]
) -> None:
    lines = [f"{number}.jpg,a,{value}" for number, value in enumerate(values)]
    table = read_text(tmp_path, "\n".join(["image,label,x", *lines]))
    assert table.columns == {"x": kind}
    assert [row.columns.get("x") for row in table.rows] == expected


def test_a_csv_without_header_takes_its_names_from_the_settings(tmp_path: Path) -> None:
    text = "TRAIN,1.jpg,rose\n,2.jpg,rose\nUNASSIGNED,3.jpg,rose\nvalidate,4.jpg,rose\n"
    table = read_text(tmp_path, text, columns=["split", "image", "label"])
    assert [row.split for row in table.rows] == ["train", None, None, "valid"]
    assert table.columns == {}


def test_other_columns_can_hold_image_and_label(tmp_path: Path) -> None:
    text = "path,species,image\n1.jpg,rose,front\n"
    table = read_text(tmp_path, text, image_column="path", label_column="species")
    assert table.rows == [Row("1.jpg", f"{tmp_path}/1.jpg", "rose", {"image": "front"})]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": ["image", "kind"]}, "columns does not name 'label'"),
        ({"columns": ["image", "label", "label"]}, "names a column twice"),
        ({"image_column": "label"}, "are both 'label'"),
        ({"label_separator": ""}, "label_separator"),
    ],
)
def test_names_that_do_not_fit_are_settings_errors(settings: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        validate_settings(IngestSettings, settings)


def test_several_labels_are_sorted_and_unique(tmp_path: Path) -> None:
    text = "image,label\n1.jpg,f e tulips d roses tulips c\n2.jpg,roses\n3.jpg,  \n"
    table = read_text(tmp_path, text, label_separator=" ")
    assert [(row.label, row.labels) for row in table.rows] == [
        ("c d e f roses tulips", ("c", "d", "e", "f", "roses", "tulips")),
        ("roses", ("roses",)),
    ]
    assert reasons(table) == {4: "no_label"}


def test_json_lines_may_mix_labels_and_lists_of_labels(tmp_path: Path) -> None:
    labels: list[Any] = ["rose", ["tulip", "red rose", "tulip"], [], [""]]
    lines = [json.dumps({"image": f"{n}.jpg", "label": label}) for n, label in enumerate(labels)]
    table = read_text(tmp_path, "\n".join(lines), "t.jsonl")
    assert [row.labels for row in table.rows] == [("rose",), ("red rose", "tulip")]
    assert reasons(table) == {3: "no_label", 4: "no_label"}


def test_rows_that_cannot_be_used_have_their_reason(tmp_path: Path) -> None:
    lines = [
        "image,label,split,patient",
        "1.jpg,rose,train,7",
        "1.jpg,rose,train,7",
        "1.jpg,tulip,train,7",
        "2.jpg,rose,holdout,7",
        "3.jpg,rose,test,",
        "4.jpg,rose,test,7,",
        "5.jpg,rose,test,7,red, white",
        "6.jpg,rose",
        ",rose,test,7",
        "7.jpg,,test,7",
    ]
    table = read_text(tmp_path, "\n".join(lines), group_by="patient")
    assert [(row.image, row.label) for row in table.rows] == [
        ("1.jpg", "rose"),
        ("1.jpg", "tulip"),
        ("4.jpg", "rose"),
    ]
    assert reasons(table) == {
        3: "duplicate_row",
        5: "unknown_split",
        6: "no_group",
        8: "too_many_columns",
        9: "too_few_columns",
        10: "missing_file",
        11: "no_label",
    }
    assert table.rejections[0].detail.endswith(f"line 2 of {tmp_path}/table.csv")
    assert table.rejections[0].row["fields"] == ["1.jpg", "rose", "train", "7"]


def test_a_group_is_as_spelled_whatever_type_its_column_has(tmp_path: Path) -> None:
    (narrow,) = read_text(tmp_path, "image,label,p\n1.jpg,a,7\n", group_by="p").rows
    wide = read_text(tmp_path, "image,label,p\n1.jpg,a,7\n2.jpg,a,7.5\n", group_by="p").rows[0]
    assert (narrow.columns["p"], wide.columns["p"]) == (7, 7.0)
    assert narrow.group == wide.group == "7"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('image,label\n1.jpg,a\n2.jpg,"rose\n3.jpg,a\n', "row from line 3.*is a quote missing"),
        ('image,label\n"1.jpg"x,a\n', "row from line 2"),
        ("image,label\n" + f'1.jpg,"{"x" * 200_000}"\n', "row from line 2"),
        ("image,label,image_id\n1.jpg,a,2\n", "'image_id' is used by Darkroom"),
        ("image,label,labels\n1.jpg,a,2\n", "'labels' is used by Darkroom"),
        ("picture,label\n1.jpg,a\n", "no column 'image'.*or set ingest.image_column"),
    ],
)
def test_a_table_that_does_not_parse_names_the_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(StepError, match=message):
        read_text(tmp_path, text)


def test_a_glob_reads_all_its_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_text(tmp_path, "image,label,age\n1.jpg,a,1\n", "part-1.csv")
    read_text(tmp_path, "label,image\nb,2.jpg\na,1.jpg\n", "part-2.csv")
    read_text(tmp_path, "image,label,age\n/3.jpg,a,2.5\n", "[part].csv")
    table = read(tmp_path / "part-*.csv")
    assert [row.image for row in table.rows] == ["1.jpg", "2.jpg"]
    assert table.columns == {"age": "int"}
    assert table.rows[1].columns == {}
    assert [r.row["file"] for r in table.rejections] == [f"{tmp_path}/part-2.csv"]
    monkeypatch.chdir(tmp_path)
    assert [row.location for row in read("*-1.csv").rows] == ["1.jpg"]
    # A file that is really called so is no glob.
    assert [row.location for row in read("[part].csv").rows] == ["/3.jpg"]
    with pytest.raises(SettingsError, match=r"data path x-\*\.csv does not exist"):
        read("x-*.csv")


def test_a_folder_lists_its_files_in_order(tmp_path: Path) -> None:
    for name in ("b/2.jpg", "b/deep/1.jpg", "a/1.jpg", "a/.hidden", "a/Thumbs.db", "top.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "LICENSE").touch()
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    (tmp_path / "c").symlink_to(tmp_path / "a")
    table = read(tmp_path)
    assert [(row.image, row.label) for row in table.rows] == [
        ("a/1.jpg", "a"),
        ("b/2.jpg", "b"),
        ("b/deep/1.jpg", "b"),
        ("c/1.jpg", "c"),
    ]
    assert table.rows[2].location == f"{tmp_path}/b/deep/1.jpg"
    assert [r.row["image"] for r in table.rejections] == ["top.jpg"]


def test_a_file_name_that_is_no_text_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    try:
        (tmp_path / "a" / "caf\udce9.jpg").touch()
    except OSError:
        pytest.skip("this file system takes no such names")
    (tmp_path / "a" / "1.jpg").touch()
    table = read(tmp_path)
    assert [row.image for row in table.rows] == ["a/1.jpg"]
    assert [(r.row["image"], r.reason) for r in table.rejections] == [
        ("a/caf\\xe9.jpg", "unreadable_file")
    ]

"""Labels from tables and from a labelling tool."""

import json
from pathlib import Path
from typing import Any

import pytest

from darkroom.errors import SettingsError
from darkroom.labels import BadRow, LabelRow, read_labels


def written(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_a_table_has_labels_times_and_columns(tmp_path: Path) -> None:
    table = written(
        tmp_path,
        "labels.csv",
        "\ufeffimage_id,key,label,labelled_at,camera\n"
        "a,,roses,1970-01-02T00:00:00Z,left\n"
        ",k1,tulips,,\n"
        "b,,,,left\n"  # nobody has looked at it yet
        ",,roses,,left\n"
        "c,,roses,yesterday,left\n",
    )
    assert list(read_labels(table)) == [
        LabelRow("image_id", "a", "roses", 86400.0, {"camera": "left"}),
        LabelRow("key", "k1", "tulips", None, {}),
        BadRow(5, "it has a label, and neither image_id nor key"),
        BadRow(6, "labelled_at is no time: yesterday"),
    ]


def test_a_line_that_is_cut_costs_itself_alone(tmp_path: Path) -> None:
    lines = written(tmp_path, "labels.jsonl", '{"key": 7, "label": 1.0}\n[1]\n{"key": "8", "la\n\n')
    assert list(read_labels(lines)) == [
        LabelRow("key", "7", "1", None, {}),
        BadRow(2, "it is no JSON object"),
        BadRow(3, "it is no JSON"),
    ]


def test_rows_that_are_absurd_cost_themselves_alone(tmp_path: Path) -> None:
    lines = "\n".join(
        [
            '{"key": 1, "label": "a"}',
            "[" * 100_000,
            '{"key": 2, "label": "a", "labelled_at": 1' + "0" * 400 + "}",
            '{"key": 3, "label": "a", "labelled_at": "0001-01-01T00:00:00+23:59"}',
            '{"key": 4, "label": "a", "labelled_at": 1764243000000}',  # milliseconds
        ]
    )
    first, *others = read_labels(written(tmp_path, "labels.jsonl", lines))
    assert first == LabelRow("key", "1", "a", None, {})
    assert [type(row) for row in others] == [BadRow] * 4


def test_a_table_that_ends_within_quotes_is_not_taken_for_all_of_it(tmp_path: Path) -> None:
    table = written(tmp_path, "labels.csv", 'key,label\n1,a\n"2,b\n3,c\n')
    with pytest.raises(SettingsError, match="unexpected end of data"):
        list(read_labels(table))


def test_texts_and_numbers_that_json_cannot_write(tmp_path: Path) -> None:
    lines = r"""{"key": 9, "label": "a", "x": "\ud800"}
{"key": 1, "label": "b", "y": NaN, "z": 2}"""
    assert list(read_labels(written(tmp_path, "labels.jsonl", lines))) == [
        BadRow(1, "it has a text that is no Unicode"),
        LabelRow("key", "1", "b", None, {"z": 2}),
    ]


def test_label_studios_export(tmp_path: Path) -> None:
    chosen = [{"from_name": "label", "type": "choices", "value": {"choices": ["roses"]}}]
    tasks: list[dict[str, Any]] = [
        {
            "data": {"image": "s3://b/1.jpg", "image_id": "a"},
            "annotations": [
                {"result": chosen, "updated_at": "1970-01-01T00:01:00Z"},
                {"result": chosen, "was_cancelled": True},
                {"result": []},
            ],
        },
        {"data": {"image_id": "b"}, "annotations": []},
    ]
    tasks[1]["annotations"] = [
        {"result": [{"from_name": "quality", "value": {"choices": ["blurred"]}}]},
        {"result": [{"from_name": "label", "value": {"choices": ["roses", "tulips"]}}]},
        "?",
    ]
    flat = [{"image_id": "c", "label": "tulips", "annotator": 3}]
    export = written(tmp_path, "export.json", json.dumps(tasks))
    assert list(read_labels(export)) == [
        LabelRow("image_id", "a", "roses", 60.0, {"image": "s3://b/1.jpg"}),
        BadRow(5, "it has several labels"),
        BadRow(6, "it is no annotation of a task"),
    ]
    table = written(tmp_path, "flat.json", json.dumps(flat, indent=1))
    assert list(read_labels(table)) == [LabelRow("image_id", "c", "tulips", None, {"annotator": 3})]


def test_a_table_without_its_columns_is_said_and_one_without_rows_is_none(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="needs the columns label, and image_id or key; it has"):
        list(read_labels(written(tmp_path, "a.csv", "path,label\nx,roses\n")))
    assert list(read_labels(written(tmp_path, "b.csv", "image_id,label\n"))) == []

"""To the labelling tool and back: tasks, the interface, worksheets, exports, agreement."""

import csv
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies

from components.monitor.labelling.agreement import Labelled, agree, write_labels
from components.monitor.labelling.choice import Choice, Reason
from components.monitor.labelling.export import Annotation, read_export
from components.monitor.labelling.pool import Pool
from components.monitor.labelling.tasks import interface_of, write_tasks
from components.monitor.labelling.worksheet import write_worksheet
from darkroom.artifacts.rejected import Reason as Rejected
from darkroom.errors import SettingsError, StepError

LABELS = ("daisy", "rose & co", "tulip")
IDS = ("ab" * 32, "cd" * 32)
CHOICES = [
    Choice(1, Reason.MISLABELLED, 0.25, 0.5, None),
    Choice(0, Reason.UNLIKE_KNOWN, 0.75, 0.9, 12.34567),
]


def pool_of(*images: str, thresholds: list[float] | None = None) -> Pool:
    return Pool(
        LABELS,
        images,
        IDS,
        np.array([[0.2, 0.5, 0.3], [0.0, 0.1, 0.9]]),
        np.eye(2, dtype=np.float32),
        np.array([False, True]),
        np.array([[False] * 3, [True, False, False]]),
        None if thresholds is None else np.array(thresholds),
    )


def written(folder: Path, pool: Pool, root: str | None = None) -> list[dict[str, Any]]:
    write_tasks(folder / "tasks.json", folder / "interface.xml", pool, CHOICES, "flowers 3", root)
    tasks: list[dict[str, Any]] = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    return tasks


def test_tasks_show_local_files_and_carry_the_models_answers(tmp_path: Path) -> None:
    pool = pool_of("/data/a folder/1+1.jpg", "/data/2.jpg")
    first, second = written(tmp_path, pool, "/data")
    assert first["data"] == {
        "image": "/data/local-files/?d=2.jpg",
        "source": "/data/2.jpg",
        "image_id": IDS[1],
        "reason": "mislabelled",
        "model_label": "tulip",
        "given_label": "daisy",
        "closeness": 0.25,
        "unsureness": 0.5,
    }
    assert second["data"]["image"] == "/data/local-files/?d=a%20folder/1%2B1.jpg"
    assert second["data"]["distance"] == 12.3457
    (said,) = second["predictions"]
    assert (said["model_version"], said["score"]) == ("flowers 3", 0.25)
    (result,) = said["result"]
    assert result["value"] == {"choices": ["rose & co"]}
    # What a task names is in the interface that it is labelled with.
    interface = ElementTree.parse(tmp_path / "interface.xml").getroot()
    choices = interface.find(f"Choices[@name='{result['from_name']}']")
    assert choices is not None
    assert choices.get("toName") == result["to_name"]
    assert choices.get("choice") == "single-radio"
    assert tuple(choice.get("value") for choice in choices) == LABELS
    image = interface.find(f"Image[@name='{result['to_name']}']")
    assert image is not None
    assert image.get("value") == "$image"


def test_uris_are_shown_as_they_are_and_an_answer_without_labels_fills_nothing_in(
    tmp_path: Path,
) -> None:
    pool = pool_of("gs://bucket/a b.jpg", "https://host/2.jpg", thresholds=[0.9, 0.95, 0.5])
    first, second = written(tmp_path, pool)
    assert second["data"]["image"] == "gs://bucket/a b.jpg"
    assert second["predictions"] == []
    assert first["predictions"][0]["result"][0]["value"] == {"choices": ["tulip"]}
    assert 'choice="multiple"' in interface_of(LABELS, several=True)


@pytest.mark.parametrize(
    ("root", "message"),
    [
        (None, "is a local file: set document_root"),
        ("/data/flowers", "is not below document_root /data/flowers"),
    ],
)
def test_a_photograph_that_cannot_be_shown_stops_before_anything_is_written(
    tmp_path: Path, root: str | None, message: str
) -> None:
    pool = pool_of("/data/flowers/1.jpg", "/data/flowers/../2.jpg")
    with pytest.raises(SettingsError, match=message):
        written(tmp_path, pool, root)
    assert list(tmp_path.iterdir()) == []


def test_a_worksheet_that_is_filled_in_is_read_back(tmp_path: Path) -> None:
    sheet = tmp_path / "worksheet.csv"
    write_worksheet(sheet, pool_of("/data/a, b.jpg", "/data/2.jpg"), CHOICES)
    with sheet.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["", ""]
    assert (rows[0]["given_label"], rows[0]["distance"], rows[1]["reason"]) == (
        *("daisy", ""),
        "unlike_known",
    )
    assert Counter(s.reason for s in read_export(str(sheet)).skipped) == {Rejected.NO_LABEL: 2}
    rows[1]["label"] = " rose & co "
    with sheet.open("w", encoding="utf-8-sig", newline="") as file:  # as a spreadsheet writes it
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    found = read_export(str(sheet))
    assert found.annotations == [Annotation(IDS[0], "/data/a, b.jpg", ("rose & co",), "", "")]
    assert len(found.skipped) == 1


def exported(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tasks as Label Studio exports them once they are labelled, with all that goes wrong."""

    def annotation(by: int, *labels: str, **more: Any) -> dict[str, Any]:
        value = {"type": "choices", "from_name": "label", "value": {"choices": list(labels)}}
        told = {"completed_by": by, "updated_at": f"2026-05-0{by}T10:00:00Z"}
        return {"id": by, "result": [value] if labels else [], "was_cancelled": False} | told | more

    first, second = (task | {"id": number} for number, task in enumerate(tasks, 1))
    earlier = annotation(1, "tulip", updated_at="2026-04-01T10:00:00Z")
    first["annotations"] = [annotation(1, "daisy"), earlier, annotation(2, "daisy")]
    first["annotations"] += [annotation(3, "tulip"), annotation(4, "rose"), annotation(5)]
    email = {"id": 7, "email": "ann@example.org"}
    second["annotations"] = [annotation(6, "tulip"), annotation(7, "daisy", completed_by=email)]
    second["annotations"] += [annotation(8, "daisy", was_cancelled=True)]
    return [first, second, {"id": 3, "data": second["data"], "annotations": []}]


def test_an_export_is_read_and_agreed_on(tmp_path: Path) -> None:
    tasks = exported(written(tmp_path, pool_of("/data/1.jpg", "/data/2.jpg"), "/data"))
    file = tmp_path / "export.json"
    file.write_text(json.dumps([*tasks, "?", {"id": 9, "data": {}, "annotations": [{}, 7]}]))
    found = read_export(str(file))
    assert [each.annotator for each in found.annotations] == [
        *("1", "1", "2", "3", "4", "6"),
        "ann@example.org",
    ]
    assert Counter(each.reason for each in found.skipped) == {
        Rejected.NO_LABEL: 3,  # one empty, one cancelled, one task that nobody labelled
        Rejected.MALFORMED_ROW: 2,
        Rejected.MISSING_FILE: 1,
    }
    assert "cancelled by '8'" in " ".join(each.detail for each in found.skipped)
    agreed = agree(found.annotations, LABELS)
    # The earlier word of the first annotator does not count: two of three say daisy.
    assert agreed.labelled == [Labelled("/data/2.jpg", IDS[1], ("daisy",))]
    assert agreed.conflicting == 2
    assert agreed.unknown == {"rose": 1}
    unknown, conflicting = agreed.rejected
    assert unknown.reason == Rejected.UNKNOWN_LABEL
    assert "did you mean 'rose & co'" in unknown.detail
    assert conflicting.reason == Rejected.CONFLICTING_LABELS
    assert conflicting.detail == "6: tulip, ann@example.org: daisy"


def test_all_formats_of_one_export_give_the_same(tmp_path: Path) -> None:
    data = {"image": "/data/local-files/?d=1.jpg", "source": "/data/1.jpg", "image_id": IDS[0]}
    told = {"annotator": 1, "annotation_id": 5, "updated_at": "2026-05-01", "lead_time": 3.5}
    whole = [
        {
            "data": data,
            "annotations": [
                {
                    "completed_by": 1,
                    "updated_at": "2026-05-01",
                    "result": [
                        {"from_name": "other", "value": {"choices": ["x"]}},
                        {"from_name": "label", "value": {"choices": labels}},
                    ],
                }
            ],
        }
        for labels in (["rose & co"], ["tulip", "daisy"])
    ]
    least: list[dict[str, Any]] = [
        data | told | {"label": "rose & co"},
        data | told | {"label": {"choices": ["tulip", "daisy"]}},
    ]
    (tmp_path / "whole.json").write_text(json.dumps(whole))
    (tmp_path / "min.json").write_text(json.dumps(least))
    with (tmp_path / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, least[0])
        writer.writeheader()
        for row in least:
            label = row["label"]
            text = label if isinstance(label, str) else json.dumps(label, separators=(",", ":"))
            writer.writerow(row | {"label": text})
    read = [read_export(str(tmp_path / name)) for name in ("whole.json", "min.json", "table.csv")]
    assert read[0] == read[1] == read[2]
    assert [each.labels for each in read[0].annotations] == [("rose & co",), ("daisy", "tulip")]
    # With a separator a CSV's cells are split, JSON's text never is.
    spaced = read_export(str(tmp_path / "table.csv"), " ").annotations[0]
    assert spaced.labels == ("&", "co", "rose")
    assert read_export(str(tmp_path / "min.json"), " ") == read[1]


def annotation(image: str, *labels: str, by: str = "", at: str = "") -> Annotation:
    return Annotation("", image, labels, by, at)


def test_several_labels_are_decided_each_for_itself() -> None:
    said = [
        annotation("1", "a", "b", by="x"),
        annotation("1", "b", "c", by="y"),
        annotation("1", "b", "c", by="z"),
        annotation("2", "a", "b", by="x"),
    ]
    assert [each.labels for each in agree(said, several=True).labelled] == [("b", "c"), ("a", "b")]
    # Two labels where one is asked for are none.
    assert agree(said[3:]).labelled == []
    assert agree(said[3:]).rejected[0].reason == Rejected.CONFLICTING_LABELS


def test_rows_of_nobody_count_each_for_itself() -> None:
    said = [annotation("1", "a"), annotation("1", "b"), annotation("2", "a"), annotation("2", "a")]
    agreed = agree(said)
    assert [each.image for each in agreed.labelled] == ["2"]
    assert agreed.conflicting == 1
    assert agree([]).labelled == []


def test_a_labels_table_is_what_ingest_reads(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    labelled = [Labelled("/a, b.jpg", "aa", ("x",)), Labelled("/c.jpg", "", ("y",))]
    assert write_labels(table, labelled, "image") == 2
    assert table.read_text() == 'image,label\n"/a, b.jpg",x\n/c.jpg,y\n'
    assert write_labels(table, labelled, "image_id") == 1
    assert table.read_text() == "image_id,label\naa,x\n"
    several = [Labelled("/a.jpg", "aa", ("x", "y"))]
    with pytest.raises(SettingsError, match="state the separator"):
        write_labels(table, several, "image")
    with pytest.raises(SettingsError, match="'x' holds the separator 'x'"):
        write_labels(table, several, "image", "x")
    assert write_labels(table, several, "image", ";") == 1
    assert table.read_text() == "image,label\n/a.jpg,x;y\n"


def test_photographs_that_a_server_was_asked_about_are_named_by_their_key(tmp_path: Path) -> None:
    export, table = tmp_path / "export.csv", tmp_path / "labels.csv"
    export.write_text("key,image,label\nk1,https://host/1,a\nk2,https://host/1,b\n,x.jpg,a\n")
    agreed = agree(read_export(str(export)).annotations)
    assert agreed.conflicting == 0
    assert write_labels(table, agreed.labelled, "key") == 2
    assert table.read_text() == "key,label\nk1,a\nk2,b\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[{"id": 1, "data": {"ima', "is cut off or no JSON"),
        (b'{"id": 1}', "holds no list of tasks"),
        (b"[1, 2]", "holds no tasks"),
        (b"a,b\n1,2\n", "has no columns 'label'"),
        (b"", "has no columns 'label'"),
        (b"image,label\n\xff,x\n", "is not UTF-8"),
    ],
)
def test_what_is_no_export_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "export").write_bytes(content)
    with pytest.raises(StepError, match=message):
        read_export(str(tmp_path / "export"))


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read .*none\.json: No such file"):
        read_export(str(tmp_path / "none.json"))


@pytest.mark.parametrize(
    "label",
    ['{"choices": ["x"', {"rectangle": 1}, {"choices": "x"}, {"choices": [{}]}, [[["x"]]], "x\ny"],
)
def test_a_label_that_cannot_be_understood_is_skipped(tmp_path: Path, label: Any) -> None:
    (tmp_path / "export").write_text(json.dumps([{"image": "a.jpg", "label": label}]))
    assert read_export(str(tmp_path / "export")).skipped[0].reason == Rejected.MALFORMED_ROW


KEYS = (
    *("data", "annotations", "result", "value", "choices", "label", "image", "image_id"),
    *("from_name", "completed_by", "annotator", "updated_at", "was_cancelled"),
)
JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.floats() | strategies.text(max_size=8),
    lambda inner: (
        strategies.lists(inner, max_size=3)
        | strategies.dictionaries(
            strategies.sampled_from(KEYS), inner | strategies.just("label"), max_size=5
        )
    ),
    max_leaves=30,
)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(tasks=strategies.lists(JSON, max_size=4))
@example(tasks=[{"image": "\ud800", "label": "\ud800", "annotator": float("nan")}])
@example(tasks=[{"data": [], "annotations": [{"result": {}}]}])
@example(tasks=[{"data": {"image": 1}, "annotations": [{"result": [{"from_name": "label"}]}]}])
def test_whatever_json_holds_is_labelled_or_refused(tasks: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "export.json"
        file.write_text(json.dumps(tasks))
        try:
            found = read_export(str(file))
        except StepError:
            return
        assert len(found.annotations) + len(found.skipped) >= len(tasks)
        labelled = agree(found.annotations, several=True).labelled
        write_labels(Path(folder) / "labels.csv", labelled, "image", "\t\t")


def test_json_that_is_nested_too_deeply_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "export").write_text("[" * 200_000)
    with pytest.raises(StepError, match="is cut off or no JSON"):
        read_export(str(tmp_path / "export"))

"""What is predicted is listed once, and divided into shards that outlive the process."""

import os
from pathlib import Path
from typing import Any

import pytest

from components.predict import work as work_module
from components.predict.models.model import Facts
from components.predict.rows import Row
from components.predict.settings import PredictSettings
from components.predict.work import Work, begin, claimed
from darkroom.artifacts.rejected import Reason, Rejection
from darkroom.errors import SettingsError, StepError
from darkroom.settings import validate_settings

FACTS = Facts(("dark", "light"), "digest", 1)


def plan(folder: Path, data: Any, **settings: Any) -> Work:
    values = {"data": data, **settings}
    return begin(folder / "work", validate_settings(PredictSettings, values), FACTS)[0]


def rows(work: Work) -> list[Row]:
    return [row for shard in work.shards for row in work.rows_of(shard)]


def touch(folder: Path, *names: str) -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")


def test_files_globs_and_folders(tmp_path: Path) -> None:
    touch(tmp_path, "in/b.jpg", "in/a.png", "in/below/c.JPG", "in/.hidden.jpg", "in/notes.txt")
    touch(tmp_path, "in/below/@eaDir/c.jpg", "other/d.jpg", "other/e.jpg")
    places = [str(tmp_path / "in"), str(tmp_path / "other/*.jpg"), str(tmp_path / "in/b.jpg")]
    found = [
        Path(row.image).relative_to(tmp_path).as_posix() for row in rows(plan(tmp_path, places))
    ]
    assert found == [
        *("in/a.png", "in/b.jpg", "in/below/c.JPG"),
        *("other/d.jpg", "other/e.jpg", "in/b.jpg"),
    ]


def test_odd_names_and_links_cost_the_others_nothing(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.jpg", os.fsdecode(b"in/caf\xe9.jpg"), "in/below/c.jpg")
    (tmp_path / "in" / "below" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "itself").symlink_to("itself")
    work = plan(tmp_path, [str(tmp_path / "in"), str(tmp_path / "in" / "caf*")])
    found = [row.image.removeprefix(f"{tmp_path}/in/") for row in rows(work)]
    assert found == ["a.jpg", "below/c.jpg", "itself"]
    name = f"{tmp_path}/in/caf\\xe9.jpg"
    assert [(each.row["image"], each.reason) for each in work.refused()] == [
        (name, Reason.UNREADABLE_FILE)
    ] * 2


def test_a_table_passes_its_columns_with_their_types(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("label,image,taken,room\nrose,a.jpg,3,007\n,/b.jpg,4.5,\n")
    work = plan(tmp_path, str(tmp_path / "t.csv"))
    assert work.columns == {"label": "bytes", "taken": "float", "room": "bytes"}
    first, second = rows(work)
    assert first == Row(
        "a.jpg", f"{tmp_path}/a.jpg", {"label": "rose", "taken": "3", "room": "007"}
    )
    assert second == Row("/b.jpg", "/b.jpg", {"taken": "4.5"})


def test_json_lines_and_other_names(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"path": "gs://b/a.jpg", "n": 1, "m": 2}\n{"path": "c.jpg"}')
    work = plan(tmp_path, str(tmp_path / "t.jsonl"), image_column="path", pass_columns=["n"])
    assert work.columns == {"n": "int"}
    assert [row.location for row in rows(work)] == ["gs://b/a.jpg", f"{tmp_path}/c.jpg"]
    assert [row.columns for row in rows(work)] == [{"n": 1}, {}]


def test_rows_of_a_table_that_are_none(tmp_path: Path) -> None:
    lines = ["image,n", "a.jpg,1", ",2", "b.jpg", "c.jpg,1,2"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    work = plan(tmp_path, str(tmp_path / "t.csv"))
    assert [row.image for row in rows(work)] == ["a.jpg"]
    refused = list(work.refused())
    assert [(each.row["line"], each.reason) for each in refused] == [
        (3, Reason.MISSING_FILE),
        (4, Reason.TOO_FEW_COLUMNS),
        (5, Reason.TOO_MANY_COLUMNS),
    ]
    assert work.reasons == {"missing_file": 1, "too_few_columns": 1, "too_many_columns": 1}
    assert work.rows == 4


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        ("none*.jpg", {}, r"^no file matches .*none\*\.jpg$"),
        ("none.jpg", {}, r"^there is no file or folder .*none\.jpg$"),
        ("empty", {}, r"^no photograph in .*empty$"),
        ("t.csv", {"image_column": "path"}, r"^.*t\.csv has no column 'path': .*predict\.columns$"),
        ("t.csv", {"pass_columns": ["camra"]}, r"'camra'; did you mean 'camera'\?$"),
    ],
)
def test_what_is_wrong_is_one_line(
    data: str, settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "t.csv").write_text("image,camera\na.jpg,one\n")
    with pytest.raises((SettingsError, StepError), match=message) as raised:
        plan(tmp_path, str(tmp_path / data), **settings)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "work").exists()


def test_work_that_was_begun_is_taken_up_unless_it_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_module, "SHARD_ROWS", 2)
    touch(tmp_path, *(f"in/{number}.jpg" for number in range(5)))
    data = str(tmp_path / "in")
    work = plan(tmp_path, data)
    assert [shard.file("rows", "jsonl") for shard in work.shards] == [
        f"rows-{number:05d}-of-00003.jsonl" for number in range(3)
    ]
    work.finish(work.shards[1], 1, [Rejection({"image": "x"}, Reason.CORRUPT, "y")])
    again = plan(tmp_path, data, batch_size=3)
    assert again == work
    assert again.done() == {1: {"number": 1, "predicted": 1, "reasons": {"corrupt": 1}}}
    assert [each.reason for each in again.refused()] == [Reason.CORRUPT]
    for settings in ({"embedding": True}, {"format": "csv"}):
        assert plan(tmp_path, data, **settings).done() == {}


def test_shards_of_many_rows_are_larger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_module, "SHARD_ROWS", 1)
    monkeypatch.setattr(work_module, "_SHARDS_OF_A_SIZE", 3)
    monkeypatch.setattr(work_module, "_MOST_DOUBLINGS", 2)
    (tmp_path / "t.csv").write_text("".join(["image\n", *(f"{n}.jpg\n" for n in range(24))]))
    work = plan(tmp_path, str(tmp_path / "t.csv"))
    sizes = [len(list(work.rows_of(shard))) for shard in work.shards]
    assert sizes == [1, 1, 1, 2, 2, 2, 4, 4, 4, 3]
    assert [row.image for row in rows(work)] == [f"{n}.jpg" for n in range(24)]


def test_two_processes_are_not_at_the_same_work(tmp_path: Path) -> None:
    with claimed(tmp_path / "work"):
        with (
            pytest.raises(StepError, match=r"^another process is at the work in .*work: wait"),
            claimed(tmp_path / "work"),
        ):
            pass
        with claimed(tmp_path / "other"):
            pass
    with claimed(tmp_path / "work"):
        pass
    assert not list(tmp_path.iterdir())

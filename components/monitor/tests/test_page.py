"""The page: what it reads, what it draws, and that nothing of it is taken for markup."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.monitor.page import charts, timeline
from components.monitor.page.database import read_only
from components.monitor.page.events import read_alerts
from components.monitor.page.figures import pooled, read_figures
from components.monitor.page.mistakes import MOST, Pictures
from components.monitor.page.page import write_page
from components.monitor.page.specification import SMALL, specification
from components.monitor.state.database import opened
from components.monitor.tests.small_world import DAY, START
from components.monitor.tests.watched_world import HOSTILE, watched
from components.monitor.windows.history import series
from darkroom.errors import SettingsError, StepError
from darkroom.intervals import wilson


def page_of(database: Path, **options: Any) -> str:
    page = database.parent / "page.html"
    write_page(database, page, title=f"flowers {HOSTILE}", **options)
    return page.read_text("utf-8")


def without_data(page: str) -> str:
    """What a browser takes for markup."""
    return re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL)


def test_the_figures_are_those_of_the_database(month: Path) -> None:
    found = read_figures(month, START + 30 * DAY)
    assert [of.version for of in found.versions] == ["2", "1"]
    assert [len(of.windows) for of in found.versions] == [6, 24]
    second, first = found.versions
    assert len(first.slices) == 3 + 6 + 18
    connection = sqlite3.connect(month)
    assert first.metrics["accuracy"] == series(connection, "1", "accuracy")
    alarming = connection.execute(
        "SELECT test FROM tests WHERE version = '1' AND alarm AND window = "
        "(SELECT max(window) FROM windows WHERE version = '1') ORDER BY log_e_value DESC"
    ).fetchall()
    connection.close()
    assert [(one.test,) for one in first.changes if one.alarm] == alarming
    assert not any(one.alarm for one in second.changes)
    # Surely worst first: by the best that is possible.
    highest = [pooled(points) for points in first.slices.values()]
    ends = [one.high for one in highest if one is not None]
    assert ends == sorted(ends)
    points = first.metrics["accuracy"][-7:]
    right = sum(round((point.value or 0) * point.photographs) for point in points)
    assert pooled(points) == wilson(right, sum(point.photographs for point in points))
    assert found == read_figures(month, START + 31 * DAY)


def test_alerts_come_in_the_order_of_what_is_to_be_done(month: Path) -> None:
    with read_only(month) as connection:
        states = [alert.state for alert in read_alerts(connection, START)]
        later = [alert.state for alert in read_alerts(connection, 5e9)]
    assert states == ["open", "acknowledged", "open", "muted", "closed"]
    assert "muted" not in later
    text = without_data(page_of(month))
    assert "2 alerts are open" in text
    order = [text.index(f'class="alert {state}"') for state in ("open", "muted", "acknowledged")]
    assert order == sorted(order)
    assert text.index('class="alert closed"') > max(order)


def test_of_many_alerts_accuracy_is_seen_first_and_the_others_are_a_click_away(
    tmp_path: Path, month: Path
) -> None:
    many = Path(shutil.copy(month, tmp_path / "many.db"))
    connection = sqlite3.connect(many)
    connection.execute("DELETE FROM alerts")
    slices = [f'accuracy {{"label": "{place}"}}' for place in range(8)]
    for kind, subject in [
        *(("fall", subject) for subject in slices),
        ("fall", "accuracy"),
        ("drift", "label"),
    ]:
        connection.execute(
            "INSERT INTO alerts (version, kind, subject, opened, message, figures) "
            "VALUES ('1', ?, ?, ?, ?, '{}')",
            (kind, subject, START, f"of {subject}"),
        )
    connection.commit()
    connection.close()
    text = without_data(page_of(many))
    places = [text.index(f"of {subject}<") for subject in ("accuracy", "label")]
    assert text.index('class="alert open"') < places[0] < text.index("<summary>4 more") < places[1]
    assert text.index("of accuracy {") > places[0]


def test_nothing_that_users_name_is_markup(month: Path) -> None:
    page = page_of(month)
    assert "<script>alert" not in page
    text = without_data(page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;{{ 7 * 7 }}" in text
    data = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert len(data) > 30
    assert any(HOSTILE in json.dumps(json.loads(each), ensure_ascii=False).replace('\\"', '"')
               for each in data)  # fmt: skip
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    assert "http" not in re.sub(r"(?s)<style>.*?</style>", "", text)


@pytest.mark.parametrize(
    "options",
    [
        {"windows": 1, "labelled": 0.0, "change": None, "second": None},
        {"windows": 1, "labelled": 0.0, "change": None, "second": None, "known": False},
        {"windows": 3, "labelled": 0.5, "change": None, "second": None, "window": 20},
        {"windows": 100, "labelled": 0.02, "second": 50, "change": None, "known": False},
        {"windows": 9, "labelled": 0.0, "second": None, "window": "hour", "known": False},
    ],
    ids=["no label", "no reference", "of photographs", "long", "hours"],
)
def test_a_page_of_little_and_of_much(tmp_path: Path, options: dict[str, Any]) -> None:
    database = watched(tmp_path, **{"photographs": 16, **options})
    text = without_data(page_of(database))
    assert "No alert is open" in text
    assert text.count("<svg") >= 2
    assert "NaN" not in text
    assert ("There is nothing to compare with" in text) == (options.get("known") is False)
    if not options["labelled"]:
        assert "no label yet" in text
        told = "No label has come yet, and without a reference"
        assert (told in text) == (options.get("known") is False)


def test_a_monitor_that_has_seen_nothing(tmp_path: Path, month: Path) -> None:
    empty = tmp_path / "empty.db"
    shutil.copy(month, empty)
    connection = sqlite3.connect(empty)
    for table in ("answers", "windows", "metrics", "tests", "alerts", "marks", "settings"):
        connection.execute(f"DELETE FROM {table}")
    connection.commit()
    connection.close()
    assert "Nothing has been answered yet" in without_data(page_of(empty))


def test_a_version_that_stopped_for_days_has_a_gap_in_its_line(tmp_path: Path) -> None:
    database = watched(tmp_path, windows=2, photographs=20, change=None, second=None)
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA foreign_keys = OFF")
    figures = json.loads(
        connection.execute("SELECT figures FROM windows ORDER BY window DESC").fetchone()[0]
    )
    for name in ("first", "last"):
        figures[name] = figures[name].replace("2023-11-16", "2023-11-20")
    connection.execute(
        "INSERT INTO windows VALUES ('1', ?, ?, 1)", (int(START + 5 * DAY), json.dumps(figures))
    )
    connection.commit()
    connection.close()
    answers = timeline.traffic(timeline.shown_windows(read_figures(database)))[0]
    assert [dot.value for dot in answers.lines[0].dots] == [20, 20, None, 20]


def test_charts_are_what_vega_lite_knows(month: Path) -> None:
    import altair as alt

    figures = read_figures(month)
    shown = timeline.shown_windows(figures)
    accuracy = timeline.accuracy(shown)
    frame, groups = charts.frame_of([accuracy], figures.marks, ["2", "1"])
    assert groups[0][0] == "1"
    assert sum(len(group) for _, group in groups) == 6
    for one in (accuracy, timeline.drift(shown)[0], *timeline.traffic(shown)):
        for pointed in (False, True):
            values = specification(charts.rows_of(one), one.unit, frame, SMALL, pointed)
            alt.LayerChart.from_dict(values)  # raises where the schema does not have it
    assert {line.version: line.is_estimated for line in accuracy.lines} == {"1": True, "2": True}
    assert [line.is_estimated for line in accuracy.lines] == [False, False, True, True]
    assert "with an alarm" in accuracy.in_words


def test_wrong_answers_of_the_latest_windows_are_shown(month: Path) -> None:
    found = read_figures(month).mistakes
    assert 0 < len(found) <= MOST
    sure = [one.confidence for one in found]
    assert sure == sorted(sure, reverse=True)
    assert all(one.label != one.given for one in found)
    assert len({one.image_id for one in found}) == len(found)
    text = without_data(page_of(month))
    assert found[0].image_id[:12] in text
    assert 'class="frame"' not in text  # nobody kept a photograph


def test_photographs_that_the_server_kept_are_shown(tmp_path: Path) -> None:
    database = watched(tmp_path, windows=3, photographs=40, change=0, second=None, labelled=1.0)
    found = read_figures(database).mistakes
    samples = tmp_path / "flowers" / "samples.jsonl"
    kept, broken = found[0].image_id, found[1].image_id
    samples.write_text(_with_images(samples.read_text(), {kept: _jpeg(), broken: "no image"}))
    pictures = Pictures(str(tmp_path), "flowers")
    made = pictures.of([one.image_id for one in found])
    assert list(made) == [kept]
    assert made[kept].startswith("data:image/jpeg;base64,")
    samples.unlink()  # each is made once
    assert pictures.of([kept]) == made
    assert made[kept] in page_of(database, pictures=pictures)
    assert Pictures(str(tmp_path), "gone").of([kept]) == {}


def _jpeg() -> str:
    import base64
    import io

    from PIL import Image

    content = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 30, 60)).save(content, "JPEG")
    return base64.b64encode(content.getvalue()).decode()


def _with_images(lines: str, images: dict[str, str]) -> str:
    samples = [json.loads(line) for line in lines.splitlines()]
    for sample in samples:
        if sample["image_id"] in images:
            sample["image"] = images[sample["image_id"]]
    return "".join(json.dumps(sample) + "\n" for sample in samples)


def test_what_cannot_be_read_gets_one_line(tmp_path: Path, month: Path) -> None:
    page = tmp_path / "page.html"
    with pytest.raises(SettingsError, match="run the monitor once"):
        write_page(tmp_path / "none.db", page, title="x")
    (tmp_path / "text.db").write_text("no database at all, whatever it is called" * 100)
    with pytest.raises(SettingsError, match="no database of SQLite"):
        write_page(tmp_path / "text.db", page, title="x")
    for version, told in ((0, "no database of the monitor's"), (1, "older"), (99, "newer")):
        other = tmp_path / f"{version}.db"
        shutil.copy(month, other)
        connection = sqlite3.connect(other)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.close()
        with pytest.raises(SettingsError, match=told):
            write_page(other, page, title="x")
    assert not page.exists()


def test_it_is_read_while_another_writes_and_says_so_when_that_cannot_be(
    tmp_path: Path, month: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "monitor.db"
    shutil.copy(month, database)
    writer = sqlite3.connect(database, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM alerts")
    assert read_figures(database) == read_figures(month)
    writer.execute("ROLLBACK")
    writer.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr("components.monitor.page.database._WAIT", 0.1)
    with pytest.raises(StepError, match="is being written: ask again"):
        read_figures(database)
    writer.close()


def test_embeddings_and_the_photographs_of_alerts_are_shown(tmp_path: Path, month: Path) -> None:
    database = Path(shutil.copy(month, tmp_path / "monitor.db"))
    samples = tmp_path / "flowers" / "samples.jsonl"
    samples.parent.mkdir()
    samples.write_text(json.dumps({"image_id": "a" * 64, "image": _jpeg()}) + "\n")
    shown = {"samples": [{"image_id": "a" * 64, "given": "roses"}, {"image_id": "b" * 64}]}
    connection = sqlite3.connect(database)
    connection.execute(
        """UPDATE windows SET figures = json_set(figures, '$.embedding',
        json('{"photographs": 60, "mmd2": 0.01, "p_value": 0.02, "separability": 0.81}'))
        WHERE version = '2'"""
    )
    connection.execute(
        "UPDATE alerts SET figures = ? WHERE kind = 'floor'", (json.dumps(shown),)
    )  # fmt: skip
    connection.commit()
    connection.close()
    found = read_figures(database)
    of_embedding = timeline.drift(timeline.shown_windows(found))[-1]
    assert (of_embedding.title, len(of_embedding.lines)) == ("Embedding", 2)
    assert {dot.value for dot in of_embedding.lines[0].dots} == {0.81}
    text = without_data(page_of(database, pictures=Pictures(str(tmp_path), "flowers")))
    assert text.count('alt="a photograph that shows it"') == 1
    assert "0.5 is not at all" in text


def test_of_many_windows_the_latest_are_drawn(month: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "MOST_WINDOWS", 10)
    shown = timeline.shown_windows(read_figures(month))
    assert [len(of.windows) for of in shown] == [6, 4]
    assert timeline.accuracy(shown).lines[1].dots[-1].window == "2023-12-08"
    assert "Of 20 earlier windows nothing is drawn." in without_data(page_of(month))


@pytest.mark.slow
def test_what_a_killed_writer_left_is_not_read_half(tmp_path: Path, month: Path) -> None:
    database = Path(shutil.copy(month, tmp_path / "monitor.db"))
    writes = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 5")  # so that it writes before the end
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE answers SET confidence = 0")
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", writes, database], check=False)
    with pytest.raises(StepError, match="its next run mends it"):
        read_figures(database)
    with opened(database):
        pass
    assert read_figures(database) == read_figures(month)

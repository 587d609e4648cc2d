"""The database: what cannot be used, and why, in one line."""

import sqlite3
from pathlib import Path

import pytest

from components.monitor.state import database
from components.monitor.state.database import opened, transaction
from darkroom.errors import SettingsError, StepError


def test_it_is_made_once_and_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "state" / "monitor.db"
    with opened(path) as connection, transaction(connection):
        connection.execute("INSERT INTO settings VALUES ('a', '1')")
    with opened(path) as connection:
        assert connection.execute("SELECT * FROM settings").fetchall() == [("a", "1")]
    assert [file.name for file in path.parent.iterdir()] == ["monitor.db"]


def test_what_is_no_database_of_this_release(tmp_path: Path) -> None:
    newer, other, text = tmp_path / "newer.db", tmp_path / "other.db", tmp_path / "text.db"
    with opened(newer) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE cats (name)")
    connection.close()
    text.write_text("image_id,label\n" * 100)
    for path, message in (
        (newer, "newer.db was written by a newer Darkroom .*version 99"),
        (other, "other.db is a database of something else: name another file"),
        (text, "text.db is no database of SQLite: name another file"),
    ):
        with pytest.raises(SettingsError, match=message) as raised, opened(path):
            pass
        assert "\n" not in str(raised.value)


def test_another_process_that_writes_is_waited_for_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_WAIT", 0.05)
    path = tmp_path / "monitor.db"
    with opened(path) as writer, transaction(writer):
        writer.execute("INSERT INTO settings VALUES ('a', '1')")
        with (
            pytest.raises(StepError, match=r"another process is writing .*monitor\.db: wait"),
            opened(path) as late,
            transaction(late),
        ):
            pass
        with opened(path) as reader:
            assert reader.execute("SELECT * FROM settings").fetchall() == []


def fill(path: Path) -> None:
    """Writes more than the database may grow by, which is a full disk to SQLite."""
    with opened(path) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        with transaction(connection):
            connection.execute("INSERT INTO settings VALUES ('new', '1')")
            connection.execute("INSERT INTO settings VALUES ('large', ?)", ("x" * 100_000,))


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "monitor.db"
    with opened(path) as connection:
        connection.execute("INSERT INTO settings VALUES ('kept', '1')")
    with pytest.raises(StepError, match="no room is left to write"):
        fill(path)
    with opened(path) as connection:
        assert connection.execute("SELECT name FROM settings").fetchall() == [("kept",)]

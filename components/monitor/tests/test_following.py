"""A page that lives for days shows the newest state of a bucket."""

import contextlib
import sqlite3
import time
from pathlib import Path

import pytest

from components.monitor.state.folder import held
from components.monitor.state.following import followed
from components.monitor.tests.test_state_folder import note
from darkroom.tests.cloud_storage import fake_cloud_storage

pytestmark = pytest.mark.slow


def notes(database: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM settings")]


def test_a_copy_becomes_the_newest_state() -> None:
    location = "gs://bucket/followed"
    with fake_cloud_storage(), followed(location, every=0.05) as database:
        assert not database.exists()
        for number in range(2):
            with held(location) as state:
                note(state, f"n{number}")
                state.keep()
            until = time.monotonic() + 30
            while not (database.exists() and len(notes(database)) > number):
                assert time.monotonic() < until
                time.sleep(0.02)
    assert not database.exists()


def test_a_folder_is_looked_at_in_place(tmp_path: Path) -> None:
    with followed(str(tmp_path)) as database:
        assert database == tmp_path / "monitor.db"

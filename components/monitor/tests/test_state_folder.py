"""The state in a folder and in a bucket: nothing of it is lost, whoever else is at it."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.monitor.settings import MonitorSettings
from components.monitor.state.database import opened, transaction
from components.monitor.state.folder import OvertakenError, State, fetched, held
from darkroom.errors import SettingsError, StepError
from darkroom.settings import validate_settings
from darkroom.storage import files
from darkroom.tests.cloud_storage import fake_cloud_storage, fake_s3

pytestmark = pytest.mark.slow

STORES = {"gs": fake_cloud_storage, "s3": fake_s3}


@pytest.fixture(scope="module", params=list(STORES))
def bucket(request: pytest.FixtureRequest) -> Iterator[str]:
    with STORES[request.param]():
        yield f"{request.param}://bucket"


def note(state: State, name: str) -> None:
    with opened(state.database) as connection, transaction(connection):
        connection.execute("INSERT INTO settings VALUES (?, '')", (name,))


def notes(location: str) -> list[str]:
    with fetched(location) as state:
        if not state.database.exists():
            return []
        with contextlib.closing(sqlite3.connect(state.database)) as connection:
            return [name for (name,) in connection.execute("SELECT name FROM settings")]


def names(location: str) -> list[str]:
    return sorted(name.partition("-")[0] for name in files.list_level(location)[1])


def test_a_folder_is_used_in_place_by_one_at_a_time(tmp_path: Path) -> None:
    location = str(tmp_path / "state")
    with held(location) as state:
        note(state, "a")
        busy = f"^another monitor is at work in {location}: wait until it has ended$"
        with pytest.raises(StepError, match=busy), held(location):
            pass
        state.keep()
    with held(location) as state:
        note(state, "b")
    assert notes(location) == ["a", "b"]
    assert names(location) == ["monitor.db"]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = r"^cannot write .*file/state/monitor\.lock: Not a directory$"
    with pytest.raises(StepError, match=message), held(str(tmp_path / "file" / "state")):
        pass


def test_a_bucket_keeps_what_was_written_back_and_nothing_else(bucket: str) -> None:
    location = f"{bucket}/kept"
    assert notes(location) == []
    for number in range(4):
        with held(location) as state:
            note(state, f"n{number}")
            state.keep()
            state.keep()  # nothing has changed
            note(state, "not kept")
    assert notes(location) == ["n0", "n1", "n2", "n3"]
    assert names(location) == ["monitor", "monitor", "state", "state"]


def test_of_two_that_began_with_the_same_state_one_writes_the_next(bucket: str) -> None:
    location = f"{bucket}/two"
    with held(location) as first, held(location) as second:
        note(first, "first")
        note(second, "second")
        second.keep()
        with pytest.raises(OvertakenError, match=f"has written {location} meanwhile, and its work"):
            first.keep()
    assert notes(location) == ["second"]
    assert names(location) == ["monitor", "state"]


def test_of_two_that_found_nothing_new_one_goes_on(bucket: str) -> None:
    location = f"{bucket}/claimed"
    with held(location) as state:
        note(state, "a")
        state.keep()
    with held(location) as first, held(location) as second:
        second.claim()
        with pytest.raises(OvertakenError):
            first.claim()
    assert notes(location) == ["a"]
    assert names(location) == ["monitor", "state", "state"]  # which share a file
    with held(location) as state:
        state.claim()
        note(state, "b")
        state.keep()
    assert notes(location) == ["a", "b"]
    assert names(location) == ["monitor", "monitor", "state", "state"]


def test_one_that_is_many_states_behind_is_overtaken_too(bucket: str) -> None:
    location = f"{bucket}/late"
    with held(location) as late:
        note(late, "late")
        for number in range(3):
            with held(location) as state:
                note(state, f"n{number}")
                state.keep()
        # The states that it would be the next of are no longer there to be in its way.
        with pytest.raises(OvertakenError):
            late.keep()
    assert notes(location) == ["n0", "n1", "n2"]


def test_killed_between_the_database_and_its_state(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = f"{bucket}/killed"
    with held(location) as state:
        note(state, "a")
        state.keep()

    def killed(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, held(location) as state:
        note(state, "lost")
        patch.setattr(files, "create", killed)
        with pytest.raises(KeyboardInterrupt):
            state.keep()
    assert notes(location) == ["a"]
    with held(location) as state:
        note(state, "b")
        state.keep()
    assert notes(location) == ["a", "b"]
    assert names(location) == ["monitor", "monitor", "state", "state"]


def test_a_page_lies_beside_the_database(bucket: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    for location in (f"{bucket}/page", str(tmp_path / "state")):
        with held(location) as state:
            for text in ("<p>1", "<p>2"):
                page.write_text(text)
                state.keep_page(page)
            assert state.page == f"{location}/report.html"
            assert files.read_bytes(state.page) == b"<p>2"


def test_a_bucket_that_is_not_there_is_one_line(bucket: str) -> None:
    location = f"{bucket}-none/state"
    with pytest.raises(StepError, match=rf"^cannot read {location}: ") as raised, held(location):
        pass
    assert "\n" not in str(raised.value)


def test_where_a_state_may_be() -> None:
    def settings(state: str) -> MonitorSettings:
        return validate_settings(
            MonitorSettings, {"predictions": ["predicted"], "state": state}, "monitor"
        )

    assert settings("gs://bucket/state/").state == "gs://bucket/state"
    # A bucket that is mounted has no locks, and is used as the bucket that it is.
    assert settings("/gcs/bucket/state").state == "gs://bucket/state"
    assert settings("state").state == "state"
    message = r"setting 'monitor\.state': expected a folder, gs:// or s3:// \(got 'hdfs://a/b'\)"
    with pytest.raises(SettingsError, match=message):
        settings("hdfs://a/b")
    with pytest.raises(SettingsError, match=r"^setting 'monitor\.state' is missing$"):
        validate_settings(MonitorSettings, {"predictions": ["predicted"]}, "monitor")

"""The job as a step from a shell: what it leaves, where, and whoever cuts it short."""

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.monitor.job import monitor
from components.monitor.state import folder as state_folder
from components.monitor.state.folder import State, fetched
from components.monitor.tests.small_world import (
    content,
    days,
    drawn,
    settings,
    write_labels,
    write_samples,
)
from darkroom.artifacts.manifest import read_manifest
from darkroom.artifacts.push_log import Entry, PushLog
from darkroom.errors import SettingsError, StepError
from darkroom.tests.cloud_storage import fake_cloud_storage

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A server's samples of four days, most of them labelled."""
    samples, labels = days([drawn(150, seed) for seed in range(4)])
    write_samples(tmp_path, samples)
    write_labels(tmp_path / "labels.csv", dict(enumerate(labels[:500])))
    return tmp_path


def given(world: Path, **more: Any) -> dict[str, Any]:
    found = settings(world, versions=str(world / "served"), **more).model_dump(mode="json")
    return {name: value for name, value in found.items() if value is not None}


def command(world: Path, watched: str = "watched", **more: Any) -> list[str]:
    values = json.dumps(given(world, **more))
    program = [sys.executable, "-m", "components.monitor", "--settings", values]
    return [*program, "--watched", str(world / watched)]


def shell(world: Path, **more: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command(world, **more), capture_output=True, text=True, check=False)


def database(location: str, world: Path) -> dict[str, list[Any]]:
    with fetched(location) as state:
        return content(state.database)


def test_a_step_leaves_the_state_and_what_it_found(world: Path) -> None:
    finished = shell(world)
    assert (finished.returncode, finished.stdout) == (0, "")
    lines = finished.stderr.splitlines()
    assert lines[0].startswith("[monitor] version 1: 2023-11-15T00:00 to 2023-11-15T23:50, 150 ")
    assert lines[-2].startswith(
        "[monitor] 600 new answers, 500 labels new or changed, 4 windows written, 1 alerts open, in"
    )
    assert lines[-1] == f"[monitor] page: {world / 'state' / 'report.html'}"
    assert (world / "watched" / "report.html").stat().st_size > 100_000
    found = read_manifest(world / "watched", "watched")
    assert found["counts"] == {"new": 600, "known": 0, "relabelled": 500, "windows": 4}
    assert [row["labelled"] for row in found["newest"]["1"]] == [50, 150, 150, 150]
    assert list(found["provenance"]["files"]) == ["settings.labels.0"]  # no folder that grows
    newest = found["newest"]["1"][0]
    assert newest["accuracy"]["low"] < newest["accuracy"]["accuracy"] < newest["accuracy"]["high"]
    assert found["problems"] == {"version 1 is gone, or an older release pushed it: not tested": 1}
    assert [alert["kind"] for alert in found["alerts"]] == ["no_traffic"]
    before = database(str(world / "state"), world)
    again = shell(world)
    assert "[monitor] 0 new answers, 0 labels new or changed, 0 windows written" in again.stderr
    assert database(str(world / "state"), world) == before


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"model": "tulips"}, 2, r"no .*/tulips/samples.jsonl: is it the server's sample.folder?"),
        ({"state": ""}, 2, "setting 'state': String should have at least 1 character"),
        ({"state": "{world}/labels.csv"}, 1, "cannot write {world}/labels.csv/monitor.lock"),
        ({"versions": None}, 2, "setting 'monitor.versions' is missing: say where the versions"),
    ],
)
def test_what_cannot_be_is_one_line(
    world: Path, change: dict[str, Any], code: int, message: str
) -> None:
    asked = {name: value and value.format(world=world) for name, value in change.items()}
    values = {name: each for name, each in {**given(world), **asked}.items() if each is not None}
    program = [sys.executable, "-m", "components.monitor", "--settings", json.dumps(values)]
    finished = subprocess.run(
        [*program, "--watched", str(world / "watched")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == code, finished.stderr
    (line,) = finished.stderr.splitlines()
    assert message.format(world=world).replace(".*", str(world)).rstrip("?") in line
    assert not (world / "watched").exists()


def test_the_push_log_is_drawn_and_a_changed_one_stops_nothing(world: Path) -> None:
    log = PushLog(str(world / "served"))
    for entry in (
        Entry("push", 1, 1),
        Entry("canary", 2, 1, 2, 10),
        Entry("traffic", 2, 1, 2, 50),
        Entry("promote", 2, 2, reason="better by night"),
        Entry("rollback", 2, 1, rolled_back=[2]),
    ):
        assert log.append(entry)
    asked = settings(world, versions=str(world / "served"))
    for _ in range(2):
        monitor(asked, watched=world / "watched")
        with contextlib.closing(sqlite3.connect(world / "state" / "monitor.db")) as connection:
            marks = connection.execute("SELECT kind, version, text FROM marks")
            found = sorted(marks.fetchall())
        assert found == [
            ("canary", "2", "gets 10 % of the requests"),
            ("promoted", "2", "better by night"),
            ("pushed", "1", ""),
            ("rolled_back", "2", "version 1 serves again"),
        ]
    (world / "served" / "push_log" / "000002.json").unlink()
    assert monitor(asked, watched=world / "watched") == "steady"
    problems = " ".join(read_manifest(world / "watched", "watched")["problems"])
    assert "does not follow the entry before it: the log was changed" in problems


def test_one_that_was_overtaken_does_its_work_upon_the_others(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_cloud_storage():
        asked = settings(world, versions=str(world / "served"), state="gs://bucket/state")
        claim = State.claim

        def overtaken(state: State) -> None:
            monkeypatch.setattr(State, "claim", claim)
            monitor(asked, watched=world / "other")  # which began with the same state
            claim(state)

        monkeypatch.setattr(State, "claim", overtaken)
        monitor(asked, watched=world / "watched")
        counts = [
            read_manifest(world / name, "watched")["counts"]["new"] for name in ("other", "watched")
        ]
        assert counts == [600, 0]
        whole = settings(world, versions=str(world / "served"))
        monitor(whole, watched=world / "watched")
        assert database("gs://bucket/state", world) == database(whole.state, world)


def test_two_at_once_in_a_folder(world: Path) -> None:
    with state_folder.held(str(world / "state")):
        finished = shell(world)
    assert finished.returncode == 1
    (line,) = finished.stderr.splitlines()
    assert line == (
        f"[monitor] error: another monitor is at work in {world / 'state'}: wait until it has ended"
    )


@pytest.mark.parametrize("in_bucket", [False, True])
def test_killed_at_random_moments(world: Path, in_bucket: bool) -> None:
    with fake_cloud_storage() if in_bucket else contextlib.nullcontext():
        location = "gs://bucket/killed" if in_bucket else str(world / "killed")
        began = time.monotonic()
        assert shell(world).returncode == 0
        seconds = time.monotonic() - began
        cut_short = 0
        for moment in np.random.default_rng(1).uniform(seconds / 3, seconds, 6):
            with subprocess.Popen(
                command(world, state=location), stderr=subprocess.DEVNULL
            ) as process:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(moment)
                process.kill()
                cut_short += process.wait() == -signal.SIGKILL
        assert cut_short
        assert shell(world, state=location).returncode == 0
        assert database(location, world) == database(str(world / "state"), world)


def test_asked_to_end_it_gives_the_folder_free(world: Path) -> None:
    with subprocess.Popen(command(world), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while not (world / "state" / "monitor.db").exists():
            assert process.poll() is None
        process.terminate()
        assert process.wait() != 0
    assert not (world / "state" / "monitor.lock").exists()
    assert shell(world).returncode == 0


def test_without_versions_it_is_a_setting_that_is_missing(world: Path) -> None:
    with pytest.raises(SettingsError, match=r"^setting 'monitor\.versions' is missing"):
        monitor(settings(world), watched=world / "watched")
    gone = settings(world, versions="nowhere://x", predictions=(str(world / "none"),))
    with pytest.raises(StepError):
        monitor(gone, watched=world / "watched")

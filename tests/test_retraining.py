"""The world turns, and the model is trained again: once, however often that is killed."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.artifacts.evaluation import VERDICT_FILE
from darkroom.artifacts.model_repository import find_versions
from tests.conftest import ROOT, Finished
from tests.retraining_world import SHOWN, look, write_world

pytestmark = pytest.mark.slow

MOMENTS = int(os.environ.get("DARKROOM_KILLS", "2"))
"""Moments at which it is killed; 10 were tried when this was written."""


@pytest.fixture
def world(digits_run: Finished, tmp_path: Path) -> Path:
    """A folder with the runs of a served model, and what the turned world asked of it."""
    model = digits_run.artifact("model")
    run = next(folder for folder in model.parents if (folder / "run.json").exists())
    shutil.copytree(run.parent, tmp_path / "runs")
    write_world(tmp_path, tmp_path / "runs" / "served" / "digits" / "1")
    return tmp_path


def rows(folder: Path) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(folder / "monitor" / "monitor.db")
    try:
        return connection.execute(
            "SELECT number, how, labelled, run, ended FROM retrainings"
        ).fetchall()
    finally:
        connection.close()


def versions(folder: Path) -> list[str]:
    return sorted(version.name for version in find_versions(folder / "runs" / "served" / "digits"))


def test_a_turned_world_is_learned_and_the_old_one_kept(world: Path, digits_run: Finished) -> None:
    found = look(world)
    assert found is not None
    assert found.ended == "blessed"
    assert found.reason.startswith("accuracy ")
    assert (found.number, found.how, found.labelled) == (1, "fine_tune", SHOWN)
    assert versions(world) == ["1", "2"]
    run = json.loads((world / "runs" / str(found.run) / "run.json").read_text())
    verdict = json.loads((Path(run["artifacts"]["evaluation"]) / VERDICT_FILE).read_text())
    shares = verdict["comparison"]["shares"]
    new, old = (shares[f"accuracy of source{sign}monitored"] for sign in ("=", "!="))
    assert new["count"] > 50
    assert new["challenger"] > new["champion"] + 0.2
    assert old["gain"] > -0.02
    assert old["count"] == digits_run.run["examples"]["test"]
    # The retraining was for these labels: there is none until the new version has answered.
    assert look(world) is None
    assert len(rows(world)) == 1


def started(folder: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.retraining_world", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_killed_at_random_moments_it_is_one_retraining(
    world: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = tmp_path_factory.mktemp("whole")
    shutil.copytree(world, whole, dirs_exist_ok=True)
    began = time.monotonic()
    with started(whole) as process:
        output, _ = process.communicate()
    assert process.returncode == 0, output
    seconds = time.monotonic() - began
    killed = 0
    for moment in np.random.default_rng(0).uniform(0, seconds / 2, MOMENTS):
        with started(world) as process:
            time.sleep(moment)
            os.kill(process.pid, signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
    assert killed
    for _ in range(2):  # it ends what was cut off, and then there is nothing to do
        with started(world) as process:
            output, _ = process.communicate()
        assert process.returncode == 0, output
    ((number, how, labelled, run, ended),) = rows(world)
    assert [(number, how, labelled, ended)] == [row[:3] + row[4:] for row in rows(whole)]
    assert ended == "blessed"
    assert versions(world) == versions(whole) == ["1", "2"]
    tables = [sorted((folder / "production").glob("*.jsonl")) for folder in (world, whole)]
    (own,), (other,) = tables
    assert own.read_text() == other.read_text()
    assert (world / "runs" / run / "run.json").exists()

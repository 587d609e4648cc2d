"""A run that is followed: the table of a terminal, and a cluster that is away for a while."""

import dataclasses
import datetime
import io
import os
import pty
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from darkroom.errors import StepError
from pipeline import watch as following
from pipeline.target import Run, StepState, TransientError
from pipeline.targets.kubeflow.client import Kubeflow
from pipeline.tests.kubeflow_server import KubeflowServer
from pipeline.watch import check_succeeded, watch_run

NOON = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)
RUN = Run("run-0", "digits-1", "failed", "http://k/run-0", NOON)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "FIRST_INTERVAL", 0.01)
    monkeypatch.setattr(following, "INTERVAL", 0.02)


class Terminal:
    """A terminal's two ends, and what was shown on it."""

    def __init__(self) -> None:
        self._reading, writing = pty.openpty()
        self.file = os.fdopen(writing, "w")
        self.shown = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                self.shown += os.read(self._reading, 65536)
            except OSError:
                return

    def text(self) -> str:
        self.file.close()
        self._reader.join(timeout=10)
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.shown.decode())


def test_a_terminal_shows_a_table_with_the_log_s_end(
    kubeflow: Kubeflow, kfp_package: Path, server: KubeflowServer, monkeypatch: Any
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    server.outcomes |= {"ingest": "cached", "train": "fails"}
    server.logs["train"] = "Epoch 3 [bold]\nout of memory\n"
    run = kubeflow.submit(kfp_package, "digits", {}, True)
    terminal = Terminal()
    ended = watch_run(kubeflow, run, terminal.file)
    last = terminal.text().split("step")[-1].splitlines()
    rows = [line.split() for line in last if line.strip()]
    assert rows[0] == ["state", "time"]
    assert ["ingest", "cached", "00:10"] in rows
    assert ["train", "failed", "00:10"] in rows
    assert ["push", "skipped"] in rows
    assert rows[-2:] == [["Epoch", "3", "[bold]"], ["out", "of", "memory"]]
    with pytest.raises(StepError, match=r"run run-0 failed; train: train: Error"):
        check_succeeded(ended)


def test_a_cluster_that_is_away_for_a_while(
    kubeflow: Kubeflow, kfp_package: Path, server: KubeflowServer, monkeypatch: Any
) -> None:
    run = kubeflow.submit(kfp_package, "digits", {}, True)
    server.fail(503, times=10)
    output = io.StringIO()
    assert watch_run(kubeflow, run, output).state == "succeeded"
    assert output.getvalue().endswith("run succeeded\n")

    monkeypatch.setattr(following, "PATIENCE", 0.05)
    run = kubeflow.submit(kfp_package, "digits", {}, True)
    server.fail(503, times=1000)
    with pytest.raises(TransientError, match="too busy"):
        watch_run(kubeflow, run, io.StringIO())


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (dataclasses.replace(RUN, error="no quota"), "run run-0 failed; no quota"),
        (dataclasses.replace(RUN, state="cancelled"), "run run-0 cancelled"),
        (
            dataclasses.replace(RUN, steps=(StepState("train", "failed"),)),
            "run run-0 failed; train: no reason given, see its log",
        ),
    ],
)
def test_how_a_run_ended_is_one_line(run: Run, message: str) -> None:
    with pytest.raises(StepError) as hit:
        check_succeeded(run)
    assert str(hit.value) == message


def test_durations_read_well() -> None:
    def took(**time: int) -> str:
        step = StepState("train", "succeeded", NOON, NOON + datetime.timedelta(**time))
        return following._duration(step)

    assert [took(seconds=5), took(minutes=61, seconds=1)] == ["00:05", "1:01:01"]

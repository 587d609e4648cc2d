"""A monitor that is killed at any moment: the next run ends as an undisturbed one would."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from components.monitor.alerts.alert import read_alerts
from components.monitor.state.database import opened
from components.monitor.tests.batches import embedded_rows, write_batch
from components.monitor.tests.pushed_versions import normal_reference
from components.monitor.tests.small_world import (
    DAY,
    START,
    content,
    days,
    drawn,
    write_labels,
    write_samples,
)

pytestmark = pytest.mark.slow

MOMENTS = int(os.environ.get("DARKROOM_KILLS", "4"))
"""Moments at which it is killed; 8 were tried when this was written."""

WATCH = """
import sys
from pathlib import Path
from components.monitor.monitor import watch
from components.monitor.tests.small_world import DAY, START, reference, settings
from components.monitor.windows.reference import version_references
folder, database = map(Path, sys.argv[1:])
of = version_references(str(folder / "served"), ()) or {"1": reference()}
batches = tuple(map(str, folder.glob("batch-*")))
print("ready", flush=True)
watch(settings(folder, predictions=batches), database, of, START + 5 * DAY)
"""


def started(folder: Path, database: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WATCH, str(folder), str(database)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("embedded", [False, True])
def test_killed_at_random_moments(tmp_path: Path, embedded: bool) -> None:
    changed = [drawn(150, seed, shares=(0.1, 0.1, 0.8)) for seed in (3, 4)]
    samples, labels = days([*(drawn(150, seed) for seed in range(3)), *changed])
    write_samples(tmp_path, samples)
    write_labels(tmp_path / "labels.csv", dict(enumerate(labels)))
    if embedded:
        normal_reference(tmp_path / "served" / "1")
        for day in range(4):
            rows = embedded_rows(range(1000 * day, 1000 * day + 400), START + day * DAY)
            write_batch(tmp_path / f"batch-{day}", "parquet", rows)
    whole, killed = tmp_path / "whole.db", tmp_path / "killed.db"
    with started(tmp_path, whole) as process:
        began = time.monotonic()
        assert process.wait() == 0
    seconds = time.monotonic() - began
    generator, cut_short = np.random.default_rng(0), 0
    for moment in generator.uniform(0, seconds, MOMENTS):
        with started(tmp_path, killed) as process:
            time.sleep(moment)
            os.kill(process.pid, signal.SIGKILL)
            cut_short += process.wait() == -signal.SIGKILL
    assert cut_short
    with started(tmp_path, killed) as process:
        assert process.wait() == 0
    assert content(killed) == content(whole)
    assert bool(content(whole)["bets"]) == embedded
    assert alerts(killed) == alerts(whole)
    if not embedded:
        assert [subject for _, _, subject, *_ in alerts(whole)] == ["label"]


def alerts(database: Path) -> list[tuple[object, ...]]:
    with opened(database) as connection:
        return [alert[1:] for alert in read_alerts(connection)]

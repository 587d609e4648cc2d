"""A step that is asked to end, as a cluster does it, leaves nothing half written."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from darkroom.runtime.step_record import STARTED_VARIABLE, STEP_RECORDS_VARIABLE

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

PROGRAM = """
import sys, time
from pathlib import Path
from darkroom.artifacts.manifest import write_manifest, atomic_artifact
from darkroom.settings import Settings
from darkroom.runtime.run_step import run_step

def work(settings: Settings, *, first: Path, second: Path) -> None:
    import colorsys
    with atomic_artifact(first) as temporary:
        write_manifest(temporary, "first", {})
    with atomic_artifact(second) as temporary:
        (temporary / "half").write_text("half")
        print("working", flush=True)
        time.sleep(float(sys.argv[2]))

run_step(work, settings={}, first=sys.argv[1] + "/first", second=sys.argv[1] + "/second")
"""


def begin(folder: Path, seconds: float) -> subprocess.Popen[str]:
    variables = {STEP_RECORDS_VARIABLE: str(folder), STARTED_VARIABLE: "0", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | variables,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    return process


def test_sigterm_ends_a_step_in_order(tmp_path: Path) -> None:
    with begin(tmp_path, 60) as process:
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert error == "the step was asked to end\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "work.json"]
    entry = json.loads((tmp_path / "work.json").read_text())
    assert (entry["status"], entry["error"]) == ("failed", "the step was asked to end")


def test_a_steps_start_up_and_making_are_written_down(tmp_path: Path) -> None:
    with begin(tmp_path, 0) as process:
        assert process.wait(30) == 0
    entry = json.loads((tmp_path / "work.json").read_text())
    assert entry["startup_seconds"] > 1e9, "since it was given its work, at second 0"
    made = json.loads((tmp_path / "first" / "manifest.json").read_text())["provenance"]
    assert made["step"] == "work"
    assert made["outputs"]["second"] == str(tmp_path / "second")

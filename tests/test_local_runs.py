"""Runs here: what is known is not done again, and what was interrupted goes on."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, Finished

pytestmark = pytest.mark.slow

STEPS = ("ingest", "transform", "train", "champion", "evaluate", "push")
QUICK = ("configs/digits.yaml", "--set", "train.epochs=1")
LENIENT = ("--set", "evaluate.thresholds={accuracy: 0.3}")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def first(command: Callable[..., Finished], out: Path) -> Finished:
    finished = command("run", *QUICK, *LENIENT, out=out)
    assert finished.code == 0, finished.output + finished.error
    return finished


def statuses(run: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["status"] for step in run["steps"]}


def test_each_step_has_a_log_and_its_start_up_measured(first: Finished, out: Path) -> None:
    logs = {path.name: path.read_text() for path in (out / first.run["run_id"] / "logs").iterdir()}
    assert set(logs) == {f"{step}.log" for step in STEPS}
    for step in STEPS:
        assert f"\n[{step}] " in logs[f"{step}.log"]
        assert not any(f"\n[{other}] " in logs[f"{step}.log"] for other in STEPS if other != step)
    for step in first.run["steps"]:
        assert step["startup_seconds"] > 0
    assert sum(step["startup_seconds"] for step in first.run["steps"]) < first.run["seconds"]


def test_a_run_that_changes_nothing_runs_nothing(
    first: Finished, command: Callable[..., Finished], out: Path
) -> None:
    again = command("run", *QUICK, *LENIENT, out=out)
    assert again.code == 0, again.output + again.error
    # What serves may be another model by now, so that this step looks each time.
    assert statuses(again.run) == dict.fromkeys(STEPS, "cached") | {"champion": "succeeded"}
    cached = [step for step in again.run["steps"] if step["status"] == "cached"]
    assert {step["run"] for step in cached} == {first.run["run_id"]}
    assert again.run["seconds"] < 15
    for key in ("blessed", "pushed", "metrics", "examples"):
        assert again.run[key] == first.run[key]
    folder = out / again.run["run_id"]
    for name, path in again.run["artifacts"].items():
        assert Path(path).is_relative_to(folder), name
        assert Path(path).exists()
    assert (folder / "report.html").read_text() == first.artifact("report").read_text()
    assert not (folder / "logs" / "train.log").exists()


def test_a_changed_threshold_judges_again_and_trains_no_more(
    first: Finished, command: Callable[..., Finished], out: Path
) -> None:
    strict = command("run", *QUICK, "--set", "evaluate.thresholds={accuracy: 1}", out=out)
    assert strict.code == 1
    assert "not blessed, so not pushed" in strict.error
    known = dict.fromkeys(("ingest", "transform", "train"), "cached")
    judged = {"champion": "succeeded", "evaluate": "succeeded", "push": "skipped"}
    assert statuses(strict.run) == known | judged
    assert strict.run["pushed"] is None


def test_a_served_model_says_where_it_comes_from(
    first: Finished, command: Callable[..., Finished], tmp_path: Path
) -> None:
    shutil.copytree(first.run["pushed"], tmp_path / "served" / "1")
    shown = command("lineage", tmp_path / "served", "--json")
    assert shown.code == 0, shown.error
    lineage = json.loads(shown.output)
    assert lineage["intact"] is True
    assert lineage["provenance"]["run"] == first.run["run_id"]
    assert lineage["settings"]["epochs"] == 1
    transformed = lineage["provenance"]["inputs"]["transformed_examples"]
    examples = transformed["provenance"]["inputs"]["examples"]
    assert examples["data"] == "sklearn:digits"
    assert examples["digest"] == manifest(first.artifact("examples"))["digest"]
    assert lineage["pushed"]["evaluation"]["metrics"] == first.run["metrics"]
    assert lineage["pushed"]["provenance"]["step"] == "push"


def manifest(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return content


class Going:
    """A run that is under way."""

    def __init__(self, out: Path) -> None:
        arguments = ["run", "configs/digits.yaml", "--out", str(out)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli.main", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.name = self.until("run ").split()[1].rstrip(";")
        self.folder = out / self.name

    def until(self, text: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if text in line:
                return line
        raise AssertionError(f"ended without '{text}'")

    def ended(self) -> dict[str, Any]:
        self.process.communicate(timeout=300)
        content: dict[str, Any] = json.loads((self.folder / "run.json").read_text())
        return content

    def processes(self) -> list[str]:
        """Command lines of the steps' processes."""
        found = []
        for folder in Path("/proc").iterdir():
            try:
                if f"DARKROOM_RUN={self.name}".encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_text())
            except OSError:
                continue
        return found

    def all_gone(self) -> bool:
        """Whether no process of the steps is left; those just killed may take a moment to go."""
        until = time.monotonic() + 30
        while self.processes() and time.monotonic() < until:
            time.sleep(0.1)
        return not self.processes()

    def half_written(self) -> list[Path]:
        return list(self.folder.rglob(".*partial*"))


@pytest.fixture
def going(tmp_path: Path) -> Iterator[Callable[[], Going]]:
    begun: list[Going] = []

    def go() -> Going:
        begun.append(Going(tmp_path))
        return begun[-1]

    yield go
    for run in begun:
        run.process.kill()
        run.process.communicate()


def test_an_interrupted_run_leaves_nothing_and_goes_on_where_it_was(
    going: Callable[[], Going],
) -> None:
    run = going()
    run.until("[train] scratch 1/")
    assert run.processes()
    run.process.send_signal(signal.SIGINT)
    result = run.ended()
    assert run.process.returncode == 130
    assert run.all_gone()
    assert not run.half_written()
    assert result["status"] == "failed"
    assert result["error"] == "interrupted by Ctrl-C at step train"
    assert result["next"].startswith("darkroom run configs/digits.yaml --out ")
    assert list(statuses(result).values()) == [
        *("succeeded", "succeeded", "failed", "not run", "not run", "not run")
    ]
    assert "model" not in result["artifacts"]

    again = going()
    assert "resumes after" in again.until("[train] resumes")
    again.process.send_signal(signal.SIGTERM)
    result = again.ended()
    assert again.process.returncode == 143
    assert result["error"] == "interrupted by SIGTERM at step train"
    assert list(statuses(result).values())[:3] == ["cached", "cached", "failed"]
    assert again.all_gone()
    assert not again.half_written()


def test_steps_end_with_a_run_that_was_killed(going: Callable[[], Going]) -> None:
    run = going()
    run.until("[ingest] ")
    assert run.processes()
    run.process.kill()
    assert run.all_gone()

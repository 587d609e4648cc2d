"""Runs are listed, one that was killed says so, and what nothing needs is removed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from darkroom.errors import SettingsError
from pipeline.cli.main import application
from pipeline.targets.local.clean import clean, plan_cleaning
from pipeline.targets.local.report import find_report
from pipeline.targets.local.run_folder import read_runs, write_started


def make_run(out: Path, number: int, **values: Any) -> Path:
    folder = out / f"flowers-2026010{number}-000000"
    folder.mkdir(parents=True)
    run = {
        "run_id": folder.name,
        "status": "succeeded",
        "started": f"2026-01-0{number}T00:00:00+00:00",
        "blessed": True,
        "pushed": str(out / "served" / "flowers" / str(number)),
        "metrics": {"accuracy": 0.9},
        "artifacts": {},
        "steps": [],
    }
    (folder / "run.json").write_text(json.dumps(run | values))
    (folder / "weights").write_bytes(b"w" * 50_000)
    return folder


def entry(out: Path, name: str, artifact: Path) -> Path:
    path = out / ".cache" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"outputs": {"model": {"uri": str(artifact)}}}))
    return path


def pushed_by(out: Path, number: int, run: Path) -> None:
    version = out / "served" / "flowers" / str(number)
    version.mkdir(parents=True)
    (version / "saved_model.pb").write_bytes(b"graph")
    (version / "manifest.json").write_text(json.dumps({"provenance": {"run": run.name}}))


@pytest.mark.slow
def test_a_run_that_was_killed_is_written_down_as_failed(tmp_path: Path) -> None:
    folder = tmp_path / "digits-20260101-000000"
    (folder / "journal").mkdir(parents=True)
    code = f"""
import os, signal
from pathlib import Path
from pipeline.targets.local.run_folder import write_started
write_started(Path({str(folder)!r}), ["ingest", "train"])
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    assert json.loads((folder / "run.json").read_text())["status"] == "running"
    (folder / "journal" / "ingest.json").write_text(
        json.dumps({"name": "ingest", "started": 1, "status": "running", "artifacts": {}})
    )
    (run,) = read_runs(tmp_path)
    assert (run["status"], run["error"]) == ("failed", "the run was killed, and could not say why")
    assert [step["status"] for step in run["steps"]] == ["failed", "not run"]
    assert json.loads((folder / "run.json").read_text())["status"] == "failed"


def test_a_run_that_runs_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "digits-20260101-000000"
    folder.mkdir()
    write_started(folder, ["ingest"])
    assert [run["status"] for run in read_runs(tmp_path)] == ["running"]
    document = json.loads((folder / "run.json").read_text())
    document["process"] = {"host": "another machine", "pid": 1}
    (folder / "run.json").write_text(json.dumps(document))
    assert [run["status"] for run in read_runs(tmp_path)] == ["running"]


def test_runs_are_listed_the_newest_first(tmp_path: Path) -> None:
    make_run(tmp_path, 1)
    make_run(tmp_path, 2, status="failed", pushed=None, blessed=False, metrics={})
    make_run(tmp_path, 3, blessed=False, pushed=None)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    result = CliRunner().invoke(application, ["runs", "--out", str(tmp_path)])
    lines = [
        line.split()[0] + " " + " ".join(line.split()[3:]) for line in result.output.splitlines()
    ]
    assert lines == [
        "flowers-20260103-000000 not blessed accuracy 0.900 version -",
        "flowers-20260102-000000 failed accuracy - version -",
        "flowers-20260101-000000 succeeded accuracy 0.900 version 1",
    ]
    result = CliRunner().invoke(application, ["runs", "--out", str(tmp_path), "--limit", "1"])
    assert len(result.output.splitlines()) == 1
    result = CliRunner().invoke(application, ["runs", "--out", str(tmp_path / "none")])
    assert result.output == f"no runs in {tmp_path / 'none'}\n"


def test_what_nothing_needs_is_removed(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, number) for number in range(1, 6)]
    running = make_run(tmp_path, 6)
    write_started(running, [])
    document = json.loads((running / "run.json").read_text()) | {
        "started": "2025-01-01T00:00:00+00:00"
    }
    (running / "run.json").write_text(json.dumps(document))
    pushed_by(tmp_path, 1, runs[0])
    stale, kept = entry(tmp_path, "stale", runs[1] / "m"), entry(tmp_path, "kept", runs[4] / "m")
    os.link(runs[1] / "weights", runs[4] / "shared")  # what a newer run shares takes no room
    before = plan_cleaning(tmp_path, keep=2)
    result = CliRunner().invoke(
        application, ["clean", "--out", str(tmp_path), "--keep", "2", "--dry-run"]
    )
    assert result.output.splitlines()[-1].endswith("would go")
    assert all(run.is_dir() for run in runs)
    assert set(before.runs) == {runs[1], runs[2]}
    assert 50_000 <= before.freed < 100_000
    clean(before)
    left = {path.name for path in tmp_path.iterdir() if path.name.startswith("flowers-")}
    assert left == {run.name for run in (runs[0], runs[3], runs[4], running)}
    assert not stale.exists()
    assert kept.exists()


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--version"], ["--help"]])
def test_the_command_says_what_it_is(options: list[str]) -> None:
    result = CliRunner().invoke(application, options)
    assert result.exit_code == 0
    assert "darkroom" in result.output


def test_the_report_of_a_run_is_found(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        folder = tmp_path / f"flowers-{number}"
        folder.mkdir()
        artifacts = {}
        if number < 3:  # the newest failed before it had one
            (folder / "report.html").write_text("")
            artifacts = {"report": str(folder / "report.html")}
        run = {
            "run_id": folder.name,
            "status": "failed" if number == 3 else "succeeded",
            "started": f"2026-11-2{number}T03:00:00+00:00",
            "artifacts": artifacts,
        }
        (folder / "run.json").write_text(json.dumps(run))
    assert find_report(None, tmp_path) == tmp_path / "flowers-2" / "report.html"
    assert find_report("flowers-1", tmp_path) == tmp_path / "flowers-1" / "report.html"
    elsewhere = find_report(str(tmp_path / "flowers-1"), tmp_path / "nowhere")
    assert elsewhere == tmp_path / "flowers-1" / "report.html"
    for asked, message in (
        ("flowers-3", "run flowers-3 has no report: it failed"),
        ("flower-1", "no run flower-1 in .*did you mean 'flowers-1'"),
    ):
        with pytest.raises(SettingsError, match=message):
            find_report(asked, tmp_path)
    with pytest.raises(SettingsError, match=r"no run in .* has a report; make one"):
        find_report(None, tmp_path / "flowers-1")

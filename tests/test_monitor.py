"""The monitor as a command, and alone in a graph and a schedule of its own."""

import contextlib
import getpass
import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from components.monitor.settings import MonitorSettings
from components.monitor.state.folder import held
from components.monitor.tests.small_world import days, drawn, write_labels, write_samples
from darkroom.errors import SettingsError
from pipeline.compiler import compile_pipeline, unreachable
from pipeline.config import load_config
from pipeline.targets import cluster_target
from tests.conftest import ROOT, Finished

pytestmark = pytest.mark.slow

Command = Callable[..., Finished]
CONFIG = str(ROOT / "tests" / "golden" / "monitor-config.yaml")
DIGITS = str(ROOT / "configs" / "digits.yaml")
ALONE = ["job=monitor", "monitor={state: state, predictions: [predicted]}"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config, and a server's samples of three days, of which the last has no labels."""
    samples, labels = days([drawn(120, seed) for seed in range(3)])
    write_samples(tmp_path / "samples", samples)
    write_labels(tmp_path / "labels.csv", dict(enumerate(labels[:240])))
    monitor = {
        "state": str(tmp_path / "state"),
        "samples": str(tmp_path / "samples"),
        "model": "flowers",
        "labels": [str(tmp_path / "labels.csv")],
    }
    file = tmp_path / "flowers.yaml"
    values = {"data": "flowers", "push": {"destination": str(tmp_path / "served")}}
    file.write_text(yaml.safe_dump({**values, "monitor": monitor}))
    return file


def test_the_command_shows_the_newest_windows(command: Command, config: Path) -> None:
    finished = command("monitor", config)
    assert finished.code == 0, finished.error
    version, heads, *rows, silent, page = finished.output.splitlines()
    assert version == "version 1"
    assert heads.split() == ["from", "photographs", "labelled", "accuracy", "estimated", "changed"]
    assert [row.split()[0] for row in rows] == ["2023-11-17", "2023-11-16", "2023-11-15"]
    assert rows[0].split()[2:] == ["120", "0%", "-", "-", "-"]
    assert rows[1].split()[2:4] == ["120", "100%"]
    assert silent.startswith("alert 1  no answers since 2023-11-17 23:48; ")
    assert page == f"page  {config.parent / 'state' / 'report.html'}"
    assert "<html" in (config.parent / "state" / "report.html").read_text()
    again = command("--quiet", "monitor", config, "--json")
    assert again.code == 0
    found = json.loads(again.output)
    assert (found["verdict"], len(found["alerts"])) == ("steady", 1)
    assert found["counts"]["new"] == 0
    newest = found["newest"]["1"]
    assert [row["labelled"] for row in newest] == [0, 120, 120]
    accuracy = newest[1]["accuracy"]
    shown = f"{accuracy['accuracy']:.3f} ({accuracy['low']:.3f} to {accuracy['high']:.3f})"
    assert shown in rows[1]


def test_alerts_are_shown_acknowledged_and_muted(command: Command, config: Path) -> None:
    early = command("monitor", config, "--alerts")
    assert early.code == 2
    assert "no monitor has been at work in" in early.error
    command("monitor", config)
    shown = command("monitor", config, "--alerts")
    assert shown.code == 0
    assert shown.output.splitlines()[1].split()[:1] == ["1"]
    seen = command("monitor", config, "--acknowledge", "1")
    assert f"seen by {getpass.getuser()}" in seen.output
    unknown = command("monitor", config, "--acknowledge", "9")
    assert (unknown.code, unknown.error.count("\n")) == (2, 1)
    muted = command("monitor", config, "--mute", "drift:brightness", "--for", "7d", "--json")
    assert [alert["kind"] for alert in json.loads(muted.output)] == ["no_traffic"]
    with contextlib.closing(sqlite3.connect(config.parent / "state" / "monitor.db")) as connection:
        ((kind, subject, until),) = connection.execute("SELECT * FROM mutes").fetchall()
    assert (kind, subject) == ("drift", "brightness")
    assert until == pytest.approx(time.time() + 7 * 86_400, abs=600)
    told = command("monitor", config, "--unmute", "drift:brightness")
    assert (told.code, "muted" in told.output) == (0, False)
    again = command("monitor", config, "--unmute", "drift:brightness")
    assert (again.code, again.error.count("\n")) == (2, 1)
    assert "drift:brightness is not muted" in again.error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mute", "drift"], "--mute and --for go together, such as --mute drift --for 7d"),
        (["--mute", "drift", "--for", "a week"], "--for a week: expected a time such as 12h or 7d"),
        (["--mute", "drift", "--for", "4000d"], "--for 4000d: at most 3650d"),
        (["--alerts", "--acknowledge", "1"], "--alerts and --acknowledge: give one of them"),
        (["--label-next", "next"], "nothing to choose from: set monitor.predictions"),
    ],
)
def test_options_that_say_nothing(
    command: Command, config: Path, options: list[str], message: str
) -> None:
    finished = command("monitor", config, *options)
    assert finished.code == 2
    (line,) = finished.error.splitlines()
    assert message in line


@pytest.mark.parametrize("options", [["--acknowledge", "9" * 30], ["--serve", "--port", "99999"]])
def test_numbers_beyond_all_bounds_are_usage(
    command: Command, config: Path, options: list[str]
) -> None:
    finished = command("monitor", config, *options)
    assert finished.code == 2
    assert f"Invalid value for '{options[-2]}'" in finished.error


def test_what_is_in_the_way_is_one_line(command: Command, config: Path) -> None:
    state = config.parent / "state"
    with held(str(state)):
        busy = command("monitor", config)
    assert busy.code == 1
    assert busy.error == (
        f"[darkroom] error: another monitor is at work in {state}: wait until it has ended\n"
    )
    (state / "monitor.db").write_text("image_id,label\n" * 99)
    other = command("monitor", config)
    assert other.code == 2
    assert other.error.endswith("monitor.db is no database of SQLite: name another file\n")
    run = command("run", config, "--set", "job=monitor")
    assert run.code == 2
    assert run.error.endswith(f"job monitor has no run of its own: darkroom monitor {config}\n")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["job=monitor"], "the config has no section 'monitor'; set monitor.state"),
        (["monitor={}"], "setting 'monitor.state' is missing"),
        (["monitor={state: s}"], "setting 'monitor': nothing to watch: set 'samples'"),
        (ALONE, "where are the model's versions\\? set push.destination, or monitor.versions"),
    ],
)
def test_a_config_that_does_not_say_enough(changes: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_config(DIGITS, overrides=changes)


def test_the_versions_are_those_that_are_pushed() -> None:
    pushed = "push.destination=kserve://ns/flowers?storage=gs://b/served"
    config = load_config(DIGITS, overrides=[*ALONE, pushed])
    assert config.name == "digits-monitor"
    assert config.section(MonitorSettings).versions == pushed.partition("=")[2]
    own = load_config(DIGITS, overrides=[*ALONE, pushed, "monitor.versions=other"])
    assert own.section(MonitorSettings).versions == "other"


@pytest.mark.parametrize("target", ["kfp", "vertex"])
def test_it_is_no_part_of_a_run(target: str, tmp_path: Path) -> None:
    config = load_config(CONFIG, overrides=["job=run"])
    assert "monitor" not in config.steps
    compile_pipeline(config, cluster_target(target), tmp_path / "p.yaml")
    (pipeline, *_) = yaml.safe_load_all((tmp_path / "p.yaml").read_text())
    assert "comp-monitor" not in pipeline["components"]
    assert "monitor" not in pipeline["root"]["inputDefinitions"]["parameters"]


def test_what_a_cluster_cannot_reach() -> None:
    assert unreachable(load_config(CONFIG)) == []
    config = load_config(DIGITS, overrides=[*ALONE, "push.destination=served"])
    names = [line.partition(" is a path of this machine")[0] for line in unreachable(config)[:3]]
    assert names == [
        "monitor.state state",
        "monitor.versions served",
        "monitor.predictions predicted",
    ]


def test_a_schedule_of_its_own(command: Command, config: Path) -> None:
    hourly = ("--cron", "5 * * * *", "--job", "monitor")
    shown = command(
        *("schedule", config, "--target", "local", *hourly, "--set", "monitor.window=hour")
    )
    assert (shown.code, shown.error) == (0, "")
    assert "flowers-monitor" in shown.output
    called = f"-m pipeline.cli.main monitor {config} --out {ROOT}/runs --set monitor.window=hour"
    assert called in shown.output
    assert "job=monitor" not in shown.output

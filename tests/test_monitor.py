"""The monitor as a command, and alone in a graph and a schedule of its own."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

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
    version, heads, *rows = finished.output.splitlines()
    assert version == "version 1"
    assert heads.split() == ["from", "photographs", "labelled", "accuracy", "estimated", "changed"]
    assert [row.split()[0] for row in rows] == ["2023-11-17", "2023-11-16", "2023-11-15"]
    assert rows[0].split()[2:] == ["120", "0%", "-", "-", "-"]
    assert rows[1].split()[2:4] == ["120", "100%"]
    again = command("--quiet", "monitor", config, "--json")
    assert (again.code, again.error) == (0, "")
    found = json.loads(again.output)
    assert found["verdict"] == "steady"
    assert found["counts"]["new"] == 0
    newest = found["newest"]["1"]
    assert [row["labelled"] for row in newest] == [0, 120, 120]
    accuracy = newest[1]["accuracy"]
    shown = f"{accuracy['accuracy']:.3f} ({accuracy['low']:.3f} to {accuracy['high']:.3f})"
    assert shown in rows[1]


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


@pytest.mark.parametrize(
    ("push", "versions"),
    [
        ("gs://b/served", "gs://b/served"),
        ("kserve://ns/flowers?storage=gs://b/served&timeout=300", "gs://b/served"),
        (
            "vertex://my-project/europe-west4/flowers?storage=gs://bucket/served",
            "gs://bucket/served",
        ),
    ],
)
def test_the_versions_are_those_that_are_pushed(push: str, versions: str) -> None:
    config = load_config(DIGITS, overrides=[*ALONE, f"push.destination={push}"])
    assert config.name == "digits-monitor"
    assert getattr(config, "monitor").versions == versions  # noqa: B009
    own = load_config(
        DIGITS, overrides=[*ALONE, f"push.destination={push}", "monitor.versions=other"]
    )
    assert getattr(own, "monitor").versions == "other"  # noqa: B009


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
    assert "darkroom-flowers-monitor.timer" in shown.output or "flowers-monitor" in shown.output
    assert f"-m pipeline.cli.main monitor {config} --set monitor.window=hour" in shown.output
    assert "job=monitor" not in shown.output

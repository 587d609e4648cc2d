"""Schedules on this machine: systemd's own tools read the units, and a shell the crontab's line."""

import os
import re
import shutil
import subprocess
import sys
import zoneinfo
from datetime import datetime
from pathlib import Path

import pytest

from pipeline.scheduling.systemd import on_calendar

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
WEEKLY = ("--cron", "0 3 * * 1")

needs_systemd_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)

# Stand-ins that keep what they are given: no user's systemd or cron daemon runs in a test.
_SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$KEPT/calls"
case "$2" in
  is-enabled) test -e "$KEPT/enabled" && echo enabled || { echo disabled; exit 1; } ;;
  enable) touch "$KEPT/enabled" ;;
  disable) rm -f "$KEPT/enabled" ;;
esac
"""
_CRONTAB = """#!/bin/sh
if [ "$1" = -l ]; then cat "$KEPT/crontab" 2>/dev/null || { echo no crontab >&2; exit 1; }
else cat > "$KEPT/crontab"; fi
"""


class Machine:
    """A home folder, and the commands that are found there."""

    def __init__(self, folder: Path, **commands: str) -> None:
        self.folder = folder
        programs = folder / "bin"
        programs.mkdir()
        for name, script in commands.items():
            (programs / name).write_text(script)
            (programs / name).chmod(0o755)
        self.environment = os.environ | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "XDG_CONFIG_HOME": str(folder / "config"),
            "KEPT": str(folder),
        }

    def darkroom(self, verb: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipeline.cli.main", verb, "configs/digits.yaml"]
        return subprocess.run(
            [*command, "--target", "local", *options],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    def kept(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    @property
    def units(self) -> dict[str, str]:
        folder = self.folder / "config" / "systemd" / "user"
        return {path.name: path.read_text() for path in folder.glob("*")}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, systemctl=_SYSTEMCTL)


def listed(machine: Machine) -> str:
    return " ".join(machine.darkroom("schedules").stdout.split())


@needs_systemd_analyze
@pytest.mark.parametrize(
    "cron",
    [
        "0 3 * * 1",
        "*/15 8-18/3 * * mon-fri",
        "30 4 1,15 * *",
        "0 0 1 1-6/2 *",
        "5 0 */10 * 7",
        "0 12 13 * 5",
        "* * * * *",
        "0 0 29 2 *",
    ],
)
def test_systemd_fires_when_cron_does(cron: str) -> None:
    from cronsim import CronSim

    zone = zoneinfo.ZoneInfo("Europe/Zurich")
    start = datetime(2026, 11, 20, 12, 0, tzinfo=zone)
    expected = CronSim(cron, start)
    command = ["systemd-analyze", "calendar", "--iterations=6", "--base-time=2026-11-20 11:00 UTC"]
    events: set[str] = set()
    for calendar in on_calendar(cron, "Europe/Zurich"):
        shown = subprocess.run([*command, calendar], capture_output=True, text=True, check=True)
        events |= set(re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", shown.stdout))
    utc = [next(expected).astimezone(zoneinfo.ZoneInfo("UTC")) for _ in range(6)]
    assert sorted(events)[:6] == [time.strftime("%Y-%m-%d %H:%M:%S UTC") for time in utc]


@needs_systemd_analyze
def test_systemd_takes_the_units(machine: Machine, tmp_path: Path) -> None:
    data = tmp_path / 'my "best" $photographs 100%'
    data.mkdir()
    finished = machine.darkroom("schedule", *WEEKLY, "--install", "--data", str(data))
    assert (finished.returncode, finished.stderr) == (0, "")
    folder = machine.folder / "config" / "systemd" / "user"
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--user", *map(str, folder.glob("*"))],
        capture_output=True,
        text=True,
        check=False,
        env=machine.environment | {"XDG_RUNTIME_DIR": str(tmp_path)},
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    escaped = str(data).replace('"', '\\"').replace("$", "$$").replace("%", "%%")
    assert f'--data "{escaped}"' in machine.units["darkroom-digits.service"]


def test_what_would_be_installed_is_shown_first(machine: Machine) -> None:
    shown = machine.darkroom("schedule", *WEEKLY, "--time-zone", "Europe/Zurich")
    assert shown.returncode == 0
    assert "OnCalendar=Mon *-*-* 03:00:00 Europe/Zurich\n" in shown.stdout
    assert f"ExecStart={sys.executable} -m pipeline.cli.main run {ROOT}/configs/" in shown.stdout
    assert machine.units == {}
    assert machine.kept("calls") == ""


def test_a_timer_from_its_making_to_its_end(machine: Machine) -> None:
    made = machine.darkroom("schedule", *WEEKLY, "--install")
    assert made.stdout.startswith("digits: created\nnext: Mon ")
    assert machine.kept("calls").splitlines() == [
        "--user daemon-reload",
        "--user enable darkroom-digits.timer",
        "--user restart darkroom-digits.timer",
    ]
    again = machine.darkroom("schedule", *WEEKLY, "--install")
    assert again.stdout.startswith("digits: unchanged\n")
    assert machine.darkroom("schedule", *WEEKLY, "--diff").returncode == 0

    differs = machine.darkroom("schedule", "--cron", "0 4 * * 1", "--catch-up", "--diff")
    assert differs.returncode == 1
    assert {"-Persistent=false", "+Persistent=true"} <= set(differs.stdout.splitlines())

    assert machine.darkroom("schedule", "--pause").stdout == "digits: paused\n"
    changed = machine.darkroom("schedule", "--cron", "0 4 * * 1", "--install")
    assert changed.stdout.startswith("digits: changed\n")
    assert listed(machine) == "digits 0 4 * * 1 here paused"
    machine.darkroom("schedule", "--resume")
    assert listed(machine) == "digits 0 4 * * 1 here on"

    assert machine.darkroom("schedule", "--delete").stdout == "digits: deleted\n"
    assert machine.units == {}
    gone = machine.darkroom("schedule", "--delete")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "no schedule 'digits' is installed here" in gone.stderr


@pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="systemd runs here")
def test_a_crontab_keeps_the_lines_of_others(tmp_path: Path) -> None:
    machine = Machine(tmp_path, crontab=_CRONTAB)
    theirs = "MAILTO=me@example.org\n5 4 * * * backup\n"
    (tmp_path / "crontab").write_text(theirs)
    made = machine.darkroom("schedule", *WEEKLY, "--install", "--set", "name=digits")
    assert made.stdout.startswith("digits: created\n")
    (ours,) = machine.kept("crontab").removeprefix(theirs).splitlines()
    assert ours.startswith("0 3 * * 1 cd ")
    assert ours.endswith(" # darkroom-digits")
    machine.darkroom("schedule", "--pause")
    assert machine.kept("crontab") == f"{theirs}#paused# {ours}\n"
    machine.darkroom("schedule", "--cron", "0 5 * * 1", "--install")
    assert listed(machine) == "digits 0 5 * * 1 here paused"
    machine.darkroom("schedule", "--resume")
    machine.darkroom("schedule", "--delete")
    assert machine.kept("crontab") == theirs


@pytest.mark.skipif(shutil.which("flock") is None, reason="flock is not installed")
def test_the_crontab_line_is_what_a_shell_runs(tmp_path: Path) -> None:
    """As cron runs it: up to an unescaped %, by sh."""
    from pipeline.scheduling.crontab import Crontab
    from pipeline.scheduling.scheduler import ScheduleSpec
    from pipeline.target import Recurrence

    folder = tmp_path / "100% ours"
    folder.mkdir()
    code = "import sys; print(sys.argv[1:])"
    command = (sys.executable, "-c", code, "it's", "$HOME", "50%")
    schedule = ScheduleSpec("flowers", command, folder, Recurrence("0 3 * * 1"), None)
    line = Crontab().text(schedule).removeprefix("0 3 * * 1 ")
    for _ in range(2):
        subprocess.run(["sh", "-c", line.replace("\\%", "%")], check=True)
    assert not re.search(r"(?<!\\)%", line)
    log = (folder / "darkroom-flowers.log").read_text()
    assert log == "[\"it's\", '$HOME', '50%']\n" * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), '--cron is missing: say when, such as --cron "0 3 * * 1"'),
        (("--pause", "--delete"), "--pause and --delete: give one of them"),
        (("--install", "--pause"), "--install goes with --target local and --cron"),
        (("--diff",), "--diff on this machine compares with a --cron: give it too"),
        (("--cron", "0 0 30 2 *"), "--cron '0 0 30 2 *' never fires"),
        ((*WEEKLY, "--max-concurrency", "2"), "on this machine a run never starts while"),
        ((*WEEKLY, "--set", "train.epoch=2"), "unknown setting 'train.epoch'; did you mean"),
    ],
)
def test_wrong_usage_is_one_line(machine: Machine, options: tuple[str, ...], message: str) -> None:
    finished = machine.darkroom("schedule", *options)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert message in finished.stderr
    assert finished.stderr.count("\n") == 1

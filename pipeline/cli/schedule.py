"""The verbs `darkroom schedule`, `darkroom schedules` and `darkroom trigger`."""

import datetime
import zoneinfo
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from darkroom.errors import SettingsError
from pipeline.cli.options import ConfigArgument, DataOption, SetOption, TargetOption

if TYPE_CHECKING:
    from pipeline.config import Config
    from pipeline.scheduling.scheduler import Change
    from pipeline.target import Recurrence


LOCAL = "local"
"""The target that is this machine."""

ScheduleTargetOption = Annotated[
    str, typer.Option("--target", metavar="kfp|vertex|local", help="Which cluster, or here.")
]


def schedule(
    config: ConfigArgument,
    target: ScheduleTargetOption,
    cron: Annotated[
        str | None,
        typer.Option(metavar="CRON", help="Minute hour day month weekday: '0 3 * * 1'."),
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="Such as Europe/Zurich; UTC, here the machine's own."),
    ] = None,
    max_concurrency: Annotated[int, typer.Option(metavar="N", help="Runs of it at a time.")] = 1,
    catch_up: Annotated[
        bool, typer.Option("--catch-up", help="Make up for runs missed while paused or off.")
    ] = False,
    job: Annotated[
        str, typer.Option(metavar="run|predict|monitor", help="The whole graph, or one step alone.")
    ] = "run",
    data: DataOption = None,
    settings: SetOption = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder of runs, where it is local.")
    ] = Path("runs"),
    diff: Annotated[
        bool, typer.Option("--diff", help="Show what would change, and change nothing.")
    ] = False,
    pause: Annotated[bool, typer.Option("--pause", help="Start no more runs.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Resume it.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Remove it; its runs stay.")] = False,
    install: Annotated[
        bool, typer.Option("--install", help="Local: install what is otherwise only shown.")
    ] = False,
) -> None:
    """Run the pipeline again and again, by a schedule of the config's name.

    Example: darkroom schedule configs/flowers.yaml --target kfp --cron "0 3 * * 1"

    The same command again changes the schedule in place, or nothing. --diff exits with 1 if it
    differs from the config. --target local shows the systemd timer (or crontab entry) that
    --install then installs. --job predict is a schedule of its own, called after the config and
    -predict: batch prediction by the model that then serves. So is --job monitor, which watches
    that model.
    """
    from pipeline.config import load_config
    from pipeline.scheduling.recurrence import checked_recurrence
    from pipeline.targets import target_named

    action = _action({"--diff": diff, "--pause": pause, "--resume": resume, "--delete": delete})
    if action is None and cron is None:
        raise SettingsError('--cron is missing: say when, such as --cron "0 3 * * 1"')
    if install and (target != LOCAL or action is not None):
        raise SettingsError("--install goes with --target local and --cron, and with nothing else")
    recurrence = None
    if cron is not None:
        recurrence = checked_recurrence(cron, time_zone or "UTC", max_concurrency, catch_up)
    target_named(target)
    overrides = [*(settings or []), *([f"job={job}"] if job != "run" else [])]
    loaded = load_config(config, data, overrides)
    target_schedule: _TargetSchedule
    if target == LOCAL:
        from pipeline.scheduling.local_schedule import ConfigSchedule, local_scheduler

        arguments = _arguments_here(config, data, settings or [], job, out)
        target_schedule = here = ConfigSchedule(
            local_scheduler(), loaded.name, arguments, time_zone
        )
        if recurrence is not None and action is None and not install:
            print(here.text(recurrence))
            print("shown only: --install installs it")
            return
    else:
        target_schedule = _on_cluster(loaded, target)
    now = datetime.datetime.now(datetime.UTC)
    if target == LOCAL or time_zone is not None:
        now = now.astimezone(zoneinfo.ZoneInfo(time_zone) if time_zone else None)
    _carry_out(target_schedule, loaded.name, action, recurrence, now)


def schedules(config: ConfigArgument, target: ScheduleTargetOption) -> None:
    """List the schedules of a cluster, or of this machine.

    Example: darkroom schedules configs/flowers.yaml --target vertex
    """
    from pipeline.config import load_config
    from pipeline.targets import target_named

    target_named(target)
    loaded = load_config(config)
    if target == LOCAL:
        from pipeline.scheduling.local_schedule import local_scheduler

        entries = local_scheduler().entries()
        lines = [_line(e.name, e.cron, e.time_zone or "here", e.paused) for e in entries]
    else:
        from pipeline.targets import cluster_target

        lines = [
            _line(s.name, s.recurrence.cron, s.recurrence.time_zone, s.paused, s.managed)
            for s in cluster_target(target).client(loaded).schedules()
        ]
    print("\n".join(lines) or "no schedules")


class _TargetSchedule(Protocol):
    """Where a schedule stands: on a cluster, or here."""

    def change(self, recurrence: "Recurrence") -> "Change": ...
    def drift(self, recurrence: "Recurrence | None") -> str: ...
    def pause(self, paused: bool) -> None: ...
    def delete(self) -> None: ...


def _on_cluster(config: "Config", target: str) -> _TargetSchedule:
    from pipeline.scheduling.cluster_schedule import ClusterSchedule
    from pipeline.targets import cluster_target

    checked = cluster_target(target)
    return ClusterSchedule(checked.client(config), config, checked)


def _carry_out(
    target_schedule: _TargetSchedule,
    name: str,
    action: str | None,
    recurrence: "Recurrence | None",
    now: datetime.datetime,
) -> None:
    from pipeline.scheduling.recurrence import next_runs

    if action == "--diff":
        difference = target_schedule.drift(recurrence)
        print(difference or f"{name}: as the config says")
        if difference:
            raise typer.Exit(1)
    elif action == "--delete":
        target_schedule.delete()
        print(f"{name}: deleted")
    elif action is not None:
        target_schedule.pause(action == "--pause")
        print(f"{name}: {'paused' if action == '--pause' else 'resumed'}")
    elif recurrence is not None:
        print(f"{name}: {target_schedule.change(recurrence)}")
        print(f"next: {', '.join(next_runs(recurrence.cron, now))}")


def _action(given: Mapping[str, bool]) -> str | None:
    asked = [name for name, is_given in given.items() if is_given]
    if len(asked) > 1:
        raise SettingsError(f"{' and '.join(asked)}: give one of them")
    return asked[0] if asked else None


def _arguments_here(
    config: str, data: str | None, settings: Sequence[str], job: str, out: Path
) -> tuple[str, ...]:
    """The verb, and its arguments, that do the same from any folder."""
    place = str(Path(config).absolute())
    found = None if data is None else str(Path(data).absolute()) if Path(data).exists() else data
    if job == "monitor":  # whose state is kept apart: a run's folder an hour would be of no use
        arguments = ["monitor", place, "--out", str(out.absolute())]
        settings = [*settings, *([] if found is None else [f"data={found}"])]
    else:
        arguments = ["run", place, "--out", str(out.absolute())]
        arguments += [] if found is None else ["--data", found]
        settings = [*settings, *([f"job={job}"] if job != "run" else [])]
    for setting in settings:
        arguments += ["--set", setting]
    return tuple(arguments)


def _line(name: str, cron: str, time_zone: str, paused: bool, managed: bool = True) -> str:
    state = "paused" if paused else "on"
    return f"{name:<24} {cron:<16} {time_zone:<16} {state}{'' if managed else ', not by Darkroom'}"


def trigger(
    config: ConfigArgument,
    target: TargetOption,
    quality: Annotated[
        str,
        typer.Option(metavar="TEXT", help="What is wrong with the model: starts one without data."),
    ] = "",
    data: DataOption = None,
    settings: SetOption = None,
) -> None:
    """Start a run on a cluster if one is due by the config's section trigger.

    Example: darkroom trigger configs/flowers.yaml --target kfp

    For a CronJob, or a monitor with --quality "accuracy fell to 0.81". Of several at once, one
    starts the run. It exits with 0 whether a run was due or not.
    """
    from pipeline.config import load_config
    from pipeline.targets import cluster_target
    from pipeline.triggers.start_run import start_if_due, trigger_store

    checked = cluster_target(target)
    loaded = load_config(config, data, settings or [])
    store = trigger_store(loaded)
    answer = start_if_due(loaded, checked.client(loaded), checked, store, quality)
    if answer.run is None:
        print(f"no run: {answer.reason}")
    else:
        print(f"started   {answer.reason}")
        print(f"run       {answer.run.id}")
        print(f"address   {answer.run.address}")

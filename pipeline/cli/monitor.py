"""The verb `darkroom monitor`."""

import contextlib
import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from darkroom.errors import SettingsError
from darkroom.runtime.log import configure_logging
from pipeline.cli.options import ConfigArgument, OutOption, SetOption
from pipeline.cli.terminal import one_line

if TYPE_CHECKING:
    from components.monitor.retraining.claims import Retraining
    from components.monitor.settings import MonitorSettings

_CHANGED = 3
"""Tests that the table names of a window: those with the most evidence."""


def monitor(
    config: ConfigArgument,
    settings: SetOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, for programs.")] = False,
    alerts: Annotated[
        bool, typer.Option("--alerts", help="Show the open alerts, and look at nothing new.")
    ] = False,
    acknowledge: Annotated[
        int | None,
        typer.Option(
            metavar="ALERT", min=1, max=2**63 - 1, help="You look after it: nobody is told again."
        ),
    ] = None,
    mute: Annotated[
        str | None, typer.Option(metavar="KIND[:SUBJECT]", help="Tell nobody of such, with --for.")
    ] = None,
    unmute: Annotated[
        str | None, typer.Option(metavar="KIND[:SUBJECT]", help="Tell of such again.")
    ] = None,
    duration: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="How long, such as 12h or 7d.")
    ] = None,
    label_next: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write there what to label next.")
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve the page, and figures for Prometheus.")
    ] = False,
    host: Annotated[
        str, typer.Option(help="With --serve: the address; 0.0.0.0: all of the network.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="With --serve: the port; 0: any.")
    ] = 8600,
    out: OutOption = Path("runs"),
) -> None:
    """Look at the model in production: read what is new, and show what its last days were like.

    Example: darkroom monitor configs/flowers.yaml

    Does what a schedule of it does (darkroom schedule CONFIG --job monitor). It may run as often as
    one likes: what was read before is not counted again. A retraining that is due by
    monitor.retrain is run here, to its end, unless a trigger server starts it on a cluster.
    """
    given = {
        "--alerts": alerts,
        "--acknowledge": acknowledge is not None,
        "--mute": mute is not None,
        "--unmute": unmute is not None,
        "--label-next": label_next is not None,
        "--serve": serve,
    }
    if len(asked := [name for name, is_given in given.items() if is_given]) > 1:
        raise SettingsError(f"{' and '.join(asked)}: give one of them")
    if (mute is None) != (duration is None):
        raise SettingsError("--mute and --for go together, such as --mute drift --for 7d")
    watched = _monitor_settings(config, settings)
    configure_logging()
    if label_next is not None:
        _label_next(watched, label_next, as_json)
    elif serve:
        _serve(watched, host, port)
    elif asked:
        from pipeline.cli import alerts as answers

        if acknowledge is not None:
            answers.acknowledge_alert(watched.state, acknowledge)
        elif mute is not None and duration is not None:
            answers.mute_alerts(watched.state, mute, duration)
        elif unmute is not None:
            answers.unmute_alerts(watched.state, unmute)
        answers.show_alerts(watched, as_json)
    else:
        _look(config, settings or [], watched, as_json, out)


def _retrain(config: str, settings: list[str], out: Path) -> "Retraining | None":
    """Runs the retraining that is due, here; None if another process has ended it meanwhile."""
    from pipeline.config import load_config
    from pipeline.triggers.retrain import claimed_retraining, start_retraining

    loaded = load_config(config, overrides=settings)
    claimed = claimed_retraining(loaded)
    return None if claimed is None else start_retraining(loaded, claimed, out)


def _monitor_settings(config: str, settings: list[str] | None) -> "MonitorSettings":
    """The monitor's settings, with what follows from other sections."""
    from components.monitor.settings import MonitorSettings
    from pipeline.config import load_config

    loaded = load_config(config, overrides=[*(settings or []), "job=monitor"])
    return loaded.section(MonitorSettings)


def _look(
    config: str, settings: list[str], watched: "MonitorSettings", as_json: bool, out: Path
) -> None:
    from components.monitor.job import RETRAIN
    from components.monitor.job import monitor as monitor_step
    from darkroom.runtime.signals import exit_on_termination

    with tempfile.TemporaryDirectory() as folder, exit_on_termination():
        verdict = monitor_step(watched, watched=Path(folder) / "watched")
        found = json.loads((Path(folder) / "watched" / "manifest.json").read_text("utf-8"))
        if not as_json:
            _print_found(found)
        retrained = None
        if verdict == RETRAIN and watched.retrain is not None and watched.retrain.trigger is None:
            # What the run prints is no JSON.
            with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout):
                retrained = _retrain(config, settings, out)
    if as_json:
        names = ("page", "counts", "problems", "newest", "alerts")
        shown = {"verdict": verdict, **{name: found[name] for name in names}}
        shown["retrained"] = None if retrained is None else dataclasses.asdict(retrained)
        print(json.dumps(shown, indent=2, ensure_ascii=False))
    elif retrained is not None:
        print(f"retrained  {retrained.reason}: {retrained.ended}; run {retrained.run}")


def _print_found(found: dict[str, Any]) -> None:
    for version, rows in found["newest"].items():
        _print_table(version, rows)
    for alert in found["alerts"]:
        print(f"alert {alert['id']}  {one_line(alert['message'])}")
    print(f"page  {found['page']}", flush=True)


def _serve(settings: "MonitorSettings", host: str, port: int) -> None:
    from components.monitor.page.live import serve
    from components.monitor.page.mistakes import Pictures
    from components.monitor.state.following import followed

    pictures = None
    if settings.samples is not None and settings.model is not None:
        pictures = Pictures(settings.samples, settings.model)
    with followed(settings.state) as database:
        serve(database, host, port, title=settings.model or "", pictures=pictures)


def _label_next(settings: "MonitorSettings", folder: Path, as_json: bool) -> None:
    from components.monitor.label_next import label_next

    written = label_next(settings, folder)
    if as_json:
        shown = {"files": list(map(str, written.files)), "reasons": written.reasons}
        print(json.dumps({**shown, "chosen_from": written.chosen_from}))
        return
    for reason, count in written.reasons.items():
        print(f"{reason:<16}{count:,}")
    print(f"{'chosen from':<16}{written.chosen_from:,}")
    print("\n".join(map(str, written.files)))


def _print_table(version: str, rows: list[dict[str, Any]]) -> None:
    heads = ("from", "photographs", "labelled", "accuracy", "estimated", "changed")
    table = [
        (
            row["first"][:16].replace("T", " "),
            f"{row['photographs']:,}",
            f"{row['labelled'] / row['photographs']:.0%}",
            _shown(row["accuracy"]),
            _shown(row["estimated"]),
            _changed(row["alarms"]),
        )
        for row in rows
    ]
    print(f"version {version}")
    widths = [max(map(len, column)) for column in zip(heads, *table, strict=True)]
    for line in (heads, *table):
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


def _changed(alarms: list[str]) -> str:
    """The tests with the most evidence, and how many more there are."""
    from components.monitor.page.words import tested_in_words

    named = ", ".join(map(tested_in_words, alarms[:_CHANGED])) or "-"
    more = len(alarms) - _CHANGED
    return named if more <= 0 else f"{named} and {more} more"


def _shown(figures: dict[str, Any] | None) -> str:
    """An accuracy with its interval, and a mark where something speaks against it."""
    if figures is None:
        return "-"
    doubted = "?" if figures.get("doubts") else ""
    return f"{figures['accuracy']:.3f}{doubted} ({figures['low']:.3f} to {figures['high']:.3f})"

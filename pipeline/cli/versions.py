"""The verbs for what was pushed: `versions`, `promote` and `rollback`."""

import dataclasses
import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from darkroom.runtime.log import configure_logging

if TYPE_CHECKING:
    from components.push.targets.target import PushTarget
    from darkroom.artifacts.push_log import Entry

DestinationArgument = Annotated[
    str, typer.Argument(metavar="DEST", help="Where models are pushed.")
]
ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, for the push log.")
]


def versions(
    destination: DestinationArgument,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, for programs.")] = False,
) -> None:
    """Show the versions of a model: which serves, its metrics and verdict, who pushed it and when.

    Example: darkroom versions runs/served/flowers
    """
    from components.push.targets import target_for
    from darkroom.errors import SettingsError

    target = target_for(destination)
    rows = _rows(target)
    if not rows:
        raise SettingsError(f"there is no model at {destination}")
    if as_json:
        log = [dataclasses.asdict(entry) for entry in target.log()]
        print(json.dumps({"versions": rows, "log": log}, indent=2, ensure_ascii=False))
        return
    heads = {name: name for name in rows[0]}
    shown = [row | {"verdict": _verdict(row["verdict"], destination)} for row in rows]
    texts = [{name: _text(value) for name, value in row.items()} for row in (heads, *shown)]
    widths = {name: max(len(row[name]) for row in texts) for name in heads}
    for row in texts:
        print("  ".join(row[name].ljust(widths[name]) for name in heads).rstrip())


def promote(
    destination: DestinationArgument,
    traffic: Annotated[
        int,
        typer.Option(min=0, max=100, metavar="PERCENT", help="Its share; at 100 it serves."),
    ] = 100,
    reason: ReasonOption = "",
    if_better: Annotated[
        bool, typer.Option("--if-better", help="Only if it passes the checks; else take it back.")
    ] = False,
    server: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The model at the server that shares the requests."),
    ] = None,
    samples: Annotated[
        str | None, typer.Option(metavar="DIR", help="The server's samples, with --labels.")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Their labels: CSV or JSON Lines, image_id or key."),
    ] = None,
    limits: Annotated[
        list[str] | None,
        typer.Option(
            "--limit", metavar="NAME=VALUE", help="error_increase, slowdown or accuracy_loss."
        ),
    ] = None,
) -> None:
    """Make the canary the version that serves, or give it another share of requests.

    Example: darkroom promote runs/served/flowers --if-better --server
    http://127.0.0.1:8501/v1/models/flowers

    With --if-better the canary's proof, errors, latency and, with labels, its accuracy are held to
    limits. Exit code 0: promoted, or no canary. 1: taken back. 75: not decided yet, ask again.
    """
    from components.push.targets import target_for
    from darkroom.errors import SettingsError

    configure_logging()
    if if_better:
        if server is None or reason:
            missing = "--server URL is missing" if server is None else "it gives its own --reason"
            raise SettingsError(f"--if-better asks a server how the canary does: {missing}")
        _promote_if_better(destination, server, samples, labels, limits or [], traffic)
        return
    if server or samples or labels or limits:
        raise SettingsError("--server, --samples, --labels and --limit go with --if-better")
    _print_outcome(target_for(destination).promote(traffic, reason))


def _promote_if_better(
    destination: str,
    server: str,
    samples: str | None,
    labels: str | None,
    limits: list[str],
    traffic: int,
) -> None:
    from components.push.promotion.check import CanaryLimits, Finding
    from components.push.promotion.promote import Outcome, promote_if_better
    from darkroom.errors import StepError
    from darkroom.settings import validate_settings

    given = dict(limit.partition("=")[::2] for limit in limits)
    decision = promote_if_better(
        destination,
        server,
        samples=samples,
        labels=labels,
        limits=validate_settings(CanaryLimits, given),
        traffic=traffic,
    )
    for check in decision.checks:
        print(check.in_words())
    if decision.entry is not None:
        _print_outcome(decision.entry)
    if decision.outcome is Outcome.NO_CANARY:
        print(f"{destination} has no canary: nothing to decide")
    if decision.outcome is Outcome.UNDECIDED:
        open_ = " and ".join(decision.found(Finding.UNDECIDED))
        print(f"not decided yet: {open_}; the canary keeps its share, ask again")
        raise typer.Exit(os.EX_TEMPFAIL)
    if decision.outcome is Outcome.TAKEN_BACK:
        failed = " and ".join(decision.found(Finding.FAILS))
        raise StepError(f"version {decision.canary} was taken back: {failed}")


def rollback(
    destination: DestinationArgument,
    to: Annotated[
        int | None,
        typer.Option(metavar="N", help="The version to serve, one that was rolled back too."),
    ] = None,
    reason: ReasonOption = "",
) -> None:
    """Take the canary back, or make the previous pushed version serve again, or any other.

    Example: darkroom rollback runs/served/flowers

    What is rolled back is not pushed again. To undo a rollback of version 3: --to 3.
    """
    from components.push.targets import target_for

    configure_logging()
    _print_outcome(target_for(destination).rollback(to, reason))


def verify(
    place: Annotated[
        str, typer.Argument(metavar="DIR|URL", help="Pushed models, one version, or a server.")
    ],
    proof: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Where the proof is, if a server is verified."),
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The key that must have signed the files.")
    ] = None,
) -> None:
    """Replay a version's proof: on its files, or against a server that serves it.

    Example: darkroom verify http://127.0.0.1:8501/v1/models/flowers --proof runs/served/flowers

    Every photograph of the proof must get the answer that the evaluation kept, through every door:
    REST, V2 (http://HOST/v2/models/NAME), gRPC (grpc://HOST:PORT/NAME), a Vertex endpoint.
    """
    from components.push.doors.addresses import is_address
    from components.push.verify import verify_files, verify_server
    from darkroom.errors import SettingsError, StepError

    configure_logging()
    if not is_address(place):
        found = list(verify_files(place, public_key))
    elif proof is None:
        raise SettingsError("a server is verified by a proof: add --proof DIR, where it was pushed")
    else:
        found = list(verify_server(place, proof, public_key))
    for comparison in found:
        print(comparison.in_words())
    off = [comparison for comparison in found if not comparison.agrees]
    if off:
        raise StepError(f"{len(off)} of {len(found)} doors do not give the proof's answers")


def _print_outcome(entry: "Entry") -> None:
    if entry.rolled_back:
        gone = ", ".join(map(str, entry.rolled_back))
        plural = "s" if len(entry.rolled_back) > 1 else ""
        print(f"version{plural} {gone} rolled back; version {entry.serving} serves")
    elif entry.canary is not None:
        print(f"version {entry.serving} serves, version {entry.canary} gets {entry.traffic} %")
    else:
        print(f"version {entry.serving} serves")


def _rows(target: "PushTarget") -> list[dict[str, Any]]:
    """A row a version, the highest first, with those that only the log still knows."""
    states = {version.number: "earlier" for version in target.versions()}
    states |= {version.number: "rolled back" for version in target.rolled_back()}
    shares = target.traffic()
    current, canary = target.current(), target.canary()
    if current is not None:
        states[current.number] = "serves"
    if canary is not None:
        states[canary.number] = "canary"
    log = target.log()
    pushed = {entry.version: entry for entry in log if entry.action in ("push", "canary")}
    pruned = {move[0] for entry in log if entry.action == "prune" for move in entry.moves}
    rows = []
    for number in sorted(states.keys() | pushed.keys(), reverse=True):
        entry = pushed.get(number)
        rows.append(
            {
                "version": number,
                "state": states.get(number, _gone(number, pruned)),
                "traffic": shares.get(number, 0),
                "metrics": dict(entry.metrics) if entry else {},
                "verdict": dict(entry.verdict) if entry else {},
                "run": entry.run if entry else None,
                "pushed": entry.time if entry else None,
                "by": entry.who if entry else None,
            }
        )
    return rows


def _gone(number: int, pruned: Collection[str]) -> str:
    """What became of a version that neither serves nor was rolled back."""
    names = (str(number), f".rolled-back-{number}", f".superseded-{number}")
    return "removed" if any(name in pruned for name in names) else "superseded"


def _verdict(verdict: Mapping[str, Any], destination: str) -> str:
    """What the evaluation said, such as `blessed against version 3`."""
    if not verdict.get("blessed"):
        return ""
    champion = (verdict.get("champion") or "").removesuffix(f" of {destination}")
    return f"blessed against {champion}" if champion else "blessed"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        name = "accuracy" if "accuracy" in value else next(iter(value), None)
        known = name is not None and value[name] is not None
        return f"{name} {value[name]:.4g}" if known else ""
    return "" if value is None else str(value)

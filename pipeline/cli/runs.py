"""The verbs for runs that there are, here and on a cluster."""

import datetime
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from darkroom.errors import SettingsError, StepError
from pipeline.cli.options import (
    LOCAL,
    ConfigArgument,
    DataOption,
    OutOption,
    SetOption,
    TargetOption,
)

if TYPE_CHECKING:
    from pipeline.config import Config
    from pipeline.target import ClusterClient, Run

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Its id, as `runs` shows it.")]
WaitOption = Annotated[
    bool, typer.Option("--wait", help="Follow it to its end; exit with 1 unless it succeeds.")
]


def submit(
    config: ConfigArgument,
    target: TargetOption,
    data: DataOption = None,
    settings: SetOption = None,
    wait: WaitOption = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Run every step, whatever ran before.")
    ] = False,
) -> None:
    """Start one run on a cluster.

    Example: darkroom submit configs/flowers.yaml --target kfp --wait

    Ctrl-C ends the waiting, not the run.
    """
    from pipeline.compiler import compile_pipeline
    from pipeline.targets import cluster_target

    loaded, cluster = _cluster(config, target, settings, data)
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder, "pipeline.yaml")
        compile_pipeline(loaded, cluster_target(target), package)
        run = cluster.submit(package, loaded.name, loaded.arguments(), caching=not no_cache)
    _show(run)
    if wait:
        _follow(cluster, run, f"{config} {run.id} --target {target}")


def runs(
    config: Annotated[
        str | None, typer.Argument(metavar="[CONFIG]", help="The config, for a cluster's runs.")
    ] = None,
    target: Annotated[
        str, typer.Option("--target", metavar="local|kfp|vertex", help="Where they ran.")
    ] = LOCAL,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many.")] = 10,
    out: OutOption = Path("runs"),
    settings: SetOption = None,
) -> None:
    """List the last runs, here or on a cluster, the newest first.

    Example: darkroom runs

    On a cluster: darkroom runs configs/flowers.yaml --target kfp
    """
    if target == LOCAL:
        _list_local(out, limit, config)
        return
    if config is None:
        raise SettingsError(f"--target {target} lists a config's runs: darkroom runs CONFIG")
    loaded, cluster = _cluster(config, target, settings)
    found = cluster.runs(loaded.name, limit)
    if not found:
        print(f"no runs of {loaded.name}")
    width = max((len(run.id) for run in found), default=0)
    for run in found:
        created = run.created.astimezone().strftime("%Y-%m-%d %H:%M")
        print(f"{run.id:<{width}}  {run.state:<9}  {created}  {run.name}")


def _list_local(out: Path, limit: int, config: str | None) -> None:
    from pipeline.targets.local.run_folder import read_runs

    found = read_runs(out)
    if config is not None:
        from pipeline.config import load_config

        name = load_config(config).name
        found = [run for run in found if run["run_id"].startswith(f"{name}-")]
    if not found:
        print(f"no runs in {out}")
    width = max((len(run["run_id"]) for run in found[:limit]), default=0)
    for run in found[:limit]:
        started = datetime.datetime.fromisoformat(run["started"]).astimezone()
        accuracy = run.get("metrics", {}).get("accuracy")
        shown = "-" if accuracy is None else f"{accuracy:.3f}"
        status = run["status"] if run["status"] != "succeeded" or run["blessed"] else "not blessed"
        version = Path(run["pushed"]).name if run.get("pushed") else "-"
        print(
            f"{run['run_id']:<{width}}  {started:%Y-%m-%d %H:%M}  {status:<11}  "
            f"accuracy {shown:<5}  version {version}"
        )


def report(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Its id or folder; else the newest.")
    ] = None,
    out: OutOption = Path("runs"),
) -> None:
    """Open a run's report in the browser, and say where it is.

    Example: darkroom report flowers-20261125-093000
    """
    from pipeline.targets.local.report import find_report

    found = find_report(run, out)
    print(found)
    if sys.stdout.isatty():
        typer.launch(found.absolute().as_uri())


def compare(
    first: Annotated[
        str, typer.Argument(metavar="A", help="A run, a model, or where pushed models go.")
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="The same; it is compared with A.")],
    data: DataOption = None,
    out: OutOption = Path("runs"),
) -> None:
    """Show two models side by side, on the same test photographs.

    Example: darkroom compare runs/served/flowers flowers-20261125-093000

    Photographs are those of B's run, or else of A's; for two models give them with --data.
    """
    from components.evaluate.comparison.compare import Difference
    from components.evaluate.comparison.decision import in_words
    from pipeline.targets.local.compare import compare_models

    comparison, report = compare_models(first, second, data, out)
    for found in comparison["overall"]:
        print(in_words(Difference(**found), first))
    print(f"report    {report}")


def clean(
    out: OutOption = Path("runs"),
    keep: Annotated[int, typer.Option(metavar="N", min=0, help="How many runs stay.")] = 5,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    data_root: Annotated[
        str | None,
        typer.Option(metavar="URI", help="Free such a `cluster.data_root` of old records instead."),
    ] = None,
) -> None:
    """Free the disk of old runs here, or a bucket of old records.

    Example: darkroom clean --keep 5 --dry-run

    The newest N runs stay, those of models that were pushed, and one that is running. Steps
    whose outcomes were only in runs that go will run again when they are needed. With a data
    root, the newest N examples and N transformed examples stay; what steps left there that were
    killed goes after a day.
    """
    if data_root is not None:
        _sweep(data_root, keep, dry_run)
        return
    from pipeline.targets.local.clean import clean as remove
    from pipeline.targets.local.clean import plan_cleaning

    plan = plan_cleaning(out.absolute(), keep)
    for folder in plan.runs:
        print(folder)
    if not dry_run:
        try:
            remove(plan)
        except OSError as error:
            raise StepError(f"cannot remove {error.filename}: {error.strerror}") from None
    count = f"{len(plan.runs)} run{'' if len(plan.runs) == 1 else 's'}"
    freed = f"{plan.freed / 1e6:,.1f} MB"
    print(f"{count}, {freed}, would go" if dry_run else f"{count} removed, {freed} freed")


def _sweep(data_root: str, keep: int, dry_run: bool) -> None:
    from darkroom.artifacts.data_root import plan_sweep
    from darkroom.storage.files import clear_errors
    from darkroom.storage.folders import delete_folder

    folders = plan_sweep(data_root, keep)
    for folder in folders:
        print(folder.location if folder.complete else f"{folder.location}  (not complete)")
        if not dry_run:
            with clear_errors(f"cannot remove {folder.location}", StepError):
                delete_folder(folder.location)
    count = f"{len(folders)} folder{'' if len(folders) == 1 else 's'}"
    freed = f"{sum(folder.bytes for folder in folders) / 1e6:,.1f} MB"
    print(f"{count}, {freed}, would go" if dry_run else f"{count} removed, {freed} freed")


def cancel(
    config: ConfigArgument, run: RunArgument, target: TargetOption, settings: SetOption = None
) -> None:
    """End a run on a cluster.

    Example: darkroom cancel configs/flowers.yaml 5f0c... --target kfp
    """
    _, cluster = _cluster(config, target, settings)
    cluster.cancel(run)
    print(f"cancelled {run}")


def retry(
    config: ConfigArgument,
    run: RunArgument,
    target: TargetOption,
    settings: SetOption = None,
    wait: WaitOption = False,
) -> None:
    """Run a failed run's failed steps again; what succeeded is kept.

    Example: darkroom retry configs/flowers.yaml 5f0c... --target kfp --wait
    """
    _, cluster = _cluster(config, target, settings)
    again = cluster.retry(run)
    _show(again)
    if wait:
        _follow(cluster, again, f"{config} {again.id} --target {target}")


def _cluster(
    config: str, target: str, settings: list[str] | None, data: str | None = None
) -> "tuple[Config, ClusterClient]":
    from pipeline.config import load_config
    from pipeline.targets import cluster_target

    checked = cluster_target(target)
    loaded = load_config(config, data, settings or [])
    return loaded, checked.client(loaded)


def _show(run: "Run") -> None:
    print(f"run       {run.id}")
    print(f"address   {run.address}", flush=True)


def _follow(cluster: "ClusterClient", run: "Run", arguments: str) -> None:
    from darkroom.errors import DarkroomError
    from pipeline.watch import check_succeeded, watch_run

    try:
        ended = watch_run(cluster, run, sys.stdout)
    except KeyboardInterrupt:
        print(
            f"\nthe run is still running; to cancel it: darkroom cancel {arguments}",
            file=sys.stderr,
        )
        raise
    except DarkroomError as error:
        raise type(error)(f"{error}; to end it: darkroom cancel {arguments}") from error
    check_succeeded(ended)

"""The verbs for runs on a cluster: `submit`, `runs`, `cancel` and `retry`."""

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import ConfigArgument, DataOption, SetOption, TargetOption

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
    config: ConfigArgument,
    target: TargetOption,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many.")] = 10,
    settings: SetOption = None,
) -> None:
    """List a pipeline's last runs on a cluster, the newest first.

    Example: darkroom runs configs/flowers.yaml --target kfp
    """
    loaded, cluster = _cluster(config, target, settings)
    found = cluster.runs(loaded.name, limit)
    if not found:
        print(f"no runs of {loaded.name}")
    width = max((len(run.id) for run in found), default=0)
    for run in found:
        created = run.created.astimezone().strftime("%Y-%m-%d %H:%M")
        print(f"{run.id:<{width}}  {run.state:<9}  {created}  {run.name}")


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

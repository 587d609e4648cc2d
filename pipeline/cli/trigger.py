"""The verb `darkroom trigger`."""

from typing import Annotated

import typer

from pipeline.cli.options import ConfigArgument, DataOption, SetOption, TargetOption


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
    from pipeline.targets.registry import cluster_target
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

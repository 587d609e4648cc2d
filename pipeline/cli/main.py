"""The `darkroom` command."""

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from darkroom.errors import DarkroomError, SettingsError, StepError
from darkroom.runtime.log import QUIET_VARIABLE, exit_with
from pipeline.cli.models import explain, export, lineage, serve
from pipeline.cli.monitor import monitor
from pipeline.cli.options import (
    ConfigArgument,
    DataOption,
    OutOption,
    SetOption,
    TargetOption,
    is_ours,
    missing_packages,
)
from pipeline.cli.predict import predict
from pipeline.cli.runs import cancel, clean, compare, report, retry, runs, submit
from pipeline.cli.schedule import schedule, schedules, trigger
from pipeline.cli.search import index, similar
from pipeline.cli.versions import promote, rollback, verify, versions

application = typer.Typer(
    name="darkroom",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_shows_tracebacks = False


def _show_version(asked: bool) -> None:
    if asked:
        from darkroom.artifacts.provenance import code_version

        found = code_version()
        commit = f" (commit {found['commit'][:12]})" if found["commit"] else ""
        print(f"darkroom {found['version']}{commit}")
        raise typer.Exit


@application.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show an error's traceback.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show warnings and errors only.")
    ] = False,
    version: Annotated[  # noqa: ARG001
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """From a pile of labelled photographs to an image classifier in production."""
    global _shows_tracebacks
    _shows_tracebacks = debug
    if quiet:
        os.environ[QUIET_VARIABLE] = "1"


@application.command()
def run(
    config: ConfigArgument,
    data: DataOption = None,
    out: OutOption = Path("runs"),
    settings: SetOption = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Run every step, whether anything changed or not.")
    ] = False,
) -> None:
    """Run the whole graph here: no Docker, no cluster.

    Example: darkroom run configs/flowers.yaml --data flowers/ --set train.epochs=10

    Steps that nothing changed for since a run in the same DIR are not run again, so that after a
    failure the same command resumes at the failed step.

    Exits with 1 if a step fails, or if the model is not blessed and so not pushed.
    """
    from pipeline.config import load_config

    loaded = load_config(config, data, settings or [])
    if loaded.job == "monitor":
        raise SettingsError(f"job monitor has no run of its own: darkroom monitor {config}")
    # Imported when the settings are known to be right: they are refused in half the time.
    from pipeline.targets.local.run import run_pipeline

    result = run_pipeline(loaded, out, not no_cache)
    if loaded.job == "predict":
        print(f"predictions  {result['artifacts']['predictions']}")
        return
    _print_result(result)
    if not result["blessed"]:
        from darkroom.artifacts.evaluation import read_evaluation

        reasons = read_evaluation(Path(result["artifacts"]["evaluation"])).reasons
        raise StepError(f"not blessed, so not pushed: {'; '.join(reasons)}")


@application.command()
def tune(
    config: ConfigArgument,
    data: DataOption = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder of runs; a study in it resumes.")
    ] = Path("runs"),
    trials: Annotated[
        int | None, typer.Option(metavar="N", help="Trials in all, with those already done.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="MIN", help="Minutes after which no trial begins.")
    ] = None,
    settings: SetOption = None,
    vertex_job: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the same search as a Vertex job's YAML instead."),
    ] = None,
    transformed: Annotated[
        str,
        typer.Option(metavar="URI", help="Outputs of a transform step for it, a gs:// folder."),
    ] = "",
) -> None:
    """Search for the best train settings in the config's tune.space.

    Example: darkroom tune configs/digits-tune.yaml --trials 30

    Photographs are ingested and transformed once. Killed at any moment, it resumes where it was.
    """
    from pipeline.config import load_config

    overrides = list(settings or [])
    overrides += [f"tune.trials={trials}"] if trials is not None else []
    overrides += [f"tune.timeout={timeout}"] if timeout is not None else []
    loaded = load_config(config, data, overrides)
    if vertex_job is not None:
        from pipeline.targets.vertex.hyperparameter_tuning import write_tuning_job

        write_tuning_job(loaded, transformed, vertex_job)
        print(vertex_job)
        return
    from pipeline.targets.local.tune import run_tuning

    best = run_tuning(loaded, out)
    print(f"trials    {best.with_name('trials.csv')}")
    print(f"best      {best}")


@application.command("compile")
def compile_(
    config: ConfigArgument,
    target: TargetOption,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="YAML file.")],
    data: DataOption = None,
    settings: SetOption = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse what a cluster cannot reach.")
    ] = False,
) -> None:
    """Turn the same graph into the file that Kubeflow or Vertex runs.

    Example: darkroom compile configs/flowers.yaml --target kfp -o flowers.yaml

    Warns of what only this machine can reach: data, images, where models are pushed.
    """
    from pipeline.config import load_config
    from pipeline.targets import cluster_target

    checked = cluster_target(target)
    loaded = load_config(config, data, settings or [])
    from pipeline.compiler import compile_pipeline, unreachable

    problems = unreachable(loaded)
    if strict and problems:
        raise SettingsError("; ".join(problems))
    compile_pipeline(loaded, checked, output)
    for problem in problems:
        print(f"warning: {problem}", file=sys.stderr)
    print(output)


@application.command()
def labels(
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="Photographs: a folder or a bucket's URI.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="CSV file.")],
    raters: Annotated[
        list[Path] | None,
        typer.Option("--rater", metavar="CSV", help="A rater's image,label; may be repeated."),
    ] = None,
    disagreement: Annotated[
        str,
        typer.Option(metavar="discard|neutral|rater", help="What becomes of those not agreed on."),
    ] = "discard",
    neutral_label: Annotated[
        str | None, typer.Option(metavar="LABEL", help="The label for them, where neutral.")
    ] = None,
    further_rater: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Who decides on them, where rater.")
    ] = None,
    label_separator: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Between a cell's labels: each is voted on for itself."),
    ] = None,
    corrections: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="image,label of those to correct, as a suspects.csv."),
    ] = None,
) -> None:
    """Write a folder's photographs and their labels as the table that ingest reads.

    Example: darkroom labels flowers/ -o all_data.csv --rater ann.csv --rater ben.csv

    A photograph's label is the folder it is in or, with raters, what most of them say.
    """
    from components.ingest.sources.label_table import write_labels

    counts = write_labels(
        *(folder, output, raters or [], disagreement, neutral_label, further_rater),
        *(label_separator, corrections),
    )
    for name, count in counts.items():
        print(f"{name:<14}{count:,}")
    print(output)


for _verb in (
    serve,
    explain,
    predict,
    monitor,
    export,
    index,
    similar,
    versions,
    verify,
    promote,
    rollback,
    lineage,
    submit,
    runs,
    report,
    compare,
    cancel,
    retry,
    clean,
):
    application.command()(_verb)
application.command()(schedule)
application.command()(schedules)
application.command()(trigger)


def _print_result(result: dict[str, Any]) -> None:
    metrics, artifacts = result["metrics"], result["artifacts"]
    print(f"accuracy  {metrics['accuracy']:.3f} on {result['examples']['test']:,} test photographs")
    print(f"model     {artifacts['model']}")
    print(f"report    {Path(result['folder']) / 'report.html'}")
    print(f"pushed    {result['pushed'] or 'no'}")


def main() -> None:
    """Runs the command; an error meant for people is one line and an exit code."""
    try:
        application()
    except DarkroomError as error:
        if _shows_tracebacks:
            traceback.print_exc()
        exit_with(error)
    except OSError as error:
        from darkroom.storage.atomic import is_disk_full, os_reason

        if _shows_tracebacks or not is_disk_full(error):
            raise
        exit_with(StepError(f"cannot write {error.filename or 'a file'}: {os_reason(error)}"))
    except ModuleNotFoundError as error:
        if _shows_tracebacks or is_ours(error.name):
            raise
        exit_with(missing_packages(sys.argv[1:], error.name))
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()

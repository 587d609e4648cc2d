"""The model server from a shell or a container: `python -m components.serve MODEL_DIR`."""

from typing import Annotated

import typer

from components.serve.command_line import read_settings
from components.serve.deadline import leave
from components.serve.server import serve
from darkroom.errors import DarkroomError
from darkroom.runtime.log import configure_logging, exit_with


def command(
    model_dir: Annotated[
        str | None,
        typer.Argument(
            envvar="AIP_STORAGE_URI",
            help="Path or URI of a SavedModel directory, or of a folder of numbered ones; for "
            "several models, `models` in the settings.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The model's name; the directory's own if not given.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen at; 0.0.0.0: all of the network.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(envvar="AIP_HTTP_PORT", help="Port of the REST API.")
    ] = None,
    grpc_port: Annotated[
        int | None,
        typer.Option(help="Port of the gRPC APIs, TF Serving's and V2; off if not given."),
    ] = None,
    poll_seconds: Annotated[
        float | None, typer.Option(help="Seconds between two checks for another version.")
    ] = None,
    allow_files: Annotated[
        list[str] | None,
        typer.Option(metavar="PREFIX", help="Where from_filenames may read; may be repeated."),
    ] = None,
    predict_route: Annotated[
        str | None,
        typer.Option(envvar="AIP_PREDICT_ROUTE", help="A further path for predictions."),
    ] = None,
    health_route: Annotated[
        str | None, typer.Option(envvar="AIP_HEALTH_ROUTE", help="A further path for readiness.")
    ] = None,
    settings: Annotated[
        str, typer.Option(help="All settings: a YAML or JSON file, or a JSON object.")
    ] = "{}",
) -> None:
    """Serves models over REST with TF Serving's predict and status API.

    Example: python -m components.serve models/flowers --port 8501

    On Vertex AI the variables that it gives to a container stand in for the arguments.
    """
    configure_logging()
    given = {
        "host": host,
        "port": port,
        "grpc_port": grpc_port,
        "poll_seconds": poll_seconds,
        "allow_files": allow_files,
        "predict_route": predict_route,
        "health_route": health_route,
    }
    try:
        serve(read_settings(settings, model_dir, name, given))
    except DarkroomError as error:
        exit_with(error, "serve")
    leave()


if __name__ == "__main__":
    application = typer.Typer(add_completion=False, rich_markup_mode=None)
    application.command()(command)
    application(prog_name="python -m components.serve")

"""The verbs for a model, and for what was pushed: `serve`, `rollback` and `lineage`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from darkroom.runtime.log import configure_logging


def serve(
    model_dir: Annotated[
        Path, typer.Argument(metavar="MODEL_DIR", help="A model, or where pushed models go.")
    ],
    port: Annotated[int, typer.Option(help="Port of the REST API.")] = 8501,
    grpc_port: Annotated[
        int | None,
        typer.Option(help="Port of the gRPC API, KServe's V2 protocol; off if not given."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name in URLs.")] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0: all of the network.")
    ] = "127.0.0.1",
    allow_files: Annotated[
        list[str] | None,
        typer.Option(metavar="PREFIX", help="Where from_filenames may read; may be repeated."),
    ] = None,
) -> None:
    """Serve a model over REST with TF Serving's API.

    Example: darkroom serve runs/served/flowers --port 8501
    """
    from components.serve.server import serve as serve_model
    from components.serve.settings import ServeSettings
    from darkroom.settings import validate_settings

    values: dict[str, Any] = {"port": port, "grpc_port": grpc_port, "name": name, "host": host}
    values |= {"allow_files": tuple(allow_files or ())}
    configure_logging()
    serve_model(model_dir, validate_settings(ServeSettings, values))


def rollback(
    destination: Annotated[str, typer.Argument(metavar="DEST", help="Where models are pushed.")],
    to: Annotated[
        int | None,
        typer.Option(metavar="N", help="The version to serve, one that was rolled back too."),
    ] = None,
) -> None:
    """Make the previous pushed version serve again, or any other.

    Example: darkroom rollback runs/served/flowers

    What is rolled back is not pushed again. To undo a rollback of version 3: --to 3.
    """
    from components.push.targets import target_for

    configure_logging()
    gone, serving = target_for(destination).rollback(to)
    numbers = ", ".join(str(version.number) for version in gone)
    said = f"version{'s' if len(gone) > 1 else ''} {numbers} rolled back; " if gone else ""
    print(f"{said}version {serving.number} serves")


def lineage(
    model_dir: Annotated[
        str, typer.Argument(metavar="MODEL_DIR", help="A model, or where pushed models go.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="All of it, for programs.")] = False,
) -> None:
    """Show where a model comes from: its run, data, settings, code and images.

    Example: darkroom lineage runs/served/flowers

    Its manifest alone says so, wherever its folder was copied to. Any artifact has a lineage.
    """
    from pipeline.lineage import lineage_tree, read_lineage

    found = read_lineage(model_dir)
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    # A file's lines are as long as they are.
    width = None if sys.stdout.isatty() else 10_000
    Console(highlight=False, width=width).print(lineage_tree(found))

"""The verbs for a model: `serve`, `explain`, `export` and `lineage`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from darkroom.errors import SettingsError
from darkroom.runtime.log import configure_logging
from pipeline.cli.options import ModelArgument, SetOption, model_in


def serve(
    model_dir: Annotated[
        str | None, typer.Argument(metavar="MODEL_DIR", help="A model, or where pushed models go.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of the REST API; 8501 by default.")] = None,
    grpc_port: Annotated[
        int | None,
        typer.Option(help="Port of the gRPC APIs, TF Serving's and V2; off if not given."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name in URLs.")] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen at, this machine alone by default; 0.0.0.0: all."),
    ] = None,
    allow_files: Annotated[
        list[str] | None,
        typer.Option(metavar="PREFIX", help="Where from_filenames may read; may be repeated."),
    ] = None,
    settings: Annotated[
        str,
        typer.Option(
            metavar="FILE", help="All settings, several models too: YAML, JSON, or a JSON object."
        ),
    ] = "{}",
) -> None:
    """Serve one model or several over REST with TF Serving's API.

    Example: darkroom serve runs/served/flowers --port 8501

    Several models: darkroom serve --settings server.yaml, which has
    models: {flowers: runs/served/flowers, digits: gs://bucket/digits}
    """
    from components.serve.command_line import read_settings
    from components.serve.deadline import leave
    from components.serve.server import serve as serve_models

    given = {"port": port, "grpc_port": grpc_port, "host": host, "allow_files": allow_files}
    configure_logging()
    serve_models(read_settings(settings, model_dir, name, given))
    leave()


def explain(
    model_dir: ModelArgument,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Photographs.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="DIR", help="Where the overlays go.")
    ] = Path("explanations"),
    method: Annotated[
        str, typer.Option(metavar="xrai|integrated_gradients|grad_cam|kernel_shap", help="How.")
    ] = "xrai",
    label: Annotated[
        str | None, typer.Option(metavar="LABEL", help="The label to explain; else the answer.")
    ] = None,
    settings: SetOption = None,
) -> None:
    """Show what of each photograph a model's answer follows from.

    Example: darkroom explain runs/served/flowers rose.jpg tulip.jpg -o explanations

    Green speaks for the label, red against it; the raw attributions are beside the overlays.
    Further settings: --set baseline=black_and_white
    """
    from components.explain.explain import explain_files
    from components.explain.settings import ExplainSettings
    from darkroom.settings import validate_settings
    from pipeline.config import override

    values: dict[str, Any] = {"method": method, "label": label}
    for given in settings or []:
        override(values, given)
    configure_logging()
    checked = validate_settings(ExplainSettings, values, "explain")
    explain_files(model_in(model_dir), images, checked, out)
    print(out)


def export(
    model_dir: ModelArgument,
    edge: Annotated[
        bool, typer.Option("--edge", help="For a small device: no TensorFlow needed there.")
    ] = False,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="The new folder.")] = Path(
        "edge"
    ),
) -> None:
    """Write a model as a folder that runs by itself.

    Example: darkroom export runs/served/flowers --edge -o flowers-edge

    Copied to a device, it needs ai-edge-litert, Pillow and numpy: python predict.py PHOTOGRAPH.
    The model must have been trained with train.export: [tflite_integer].
    """
    from components.edge.bundle import write_bundle

    if not edge:
        raise SettingsError("darkroom export needs the form to write: --edge")
    configure_logging()
    write_bundle(model_in(model_dir), out)
    print(out)


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

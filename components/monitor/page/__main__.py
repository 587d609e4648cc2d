"""The live page from a shell: `python -m components.monitor.page monitor.db --port 8600`."""

from pathlib import Path
from typing import Annotated

import typer

from components.monitor.page.live import LOOPBACK, PORT, serve
from components.monitor.page.mistakes import Pictures
from darkroom.errors import DarkroomError, SettingsError
from darkroom.runtime.log import configure_logging, exit_with


def command(
    database: Annotated[Path, typer.Argument(help="The monitor's file.")],
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0: all of the network.")
    ] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0: any.")] = PORT,
    title: Annotated[str, typer.Option(help="What is watched; else the file's name.")] = "",
    samples: Annotated[
        str, typer.Option(help="The server's sample.folder, for photographs; with --model.")
    ] = "",
    model: Annotated[str, typer.Option(help="The model's name at the server.")] = "",
) -> None:
    """Serves the monitor's page, and its figures for Prometheus at /metrics.

    Example: python -m components.monitor.page monitor.db --port 8600
    """
    configure_logging()
    try:
        if bool(samples) != bool(model):
            raise SettingsError("--samples and --model go together: a server has a folder a model")
        pictures = Pictures(samples, model) if samples else None
        serve(database, host, port, title=title or model, pictures=pictures)
    except DarkroomError as error:
        exit_with(error, "monitor")


if __name__ == "__main__":
    typer.run(command)

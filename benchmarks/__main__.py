"""`python -m benchmarks [NAME ...]`: runs the benchmarks and prints a table each."""

import importlib
import signal
import sys
from typing import Annotated

import typer

from darkroom.settings import nearest

NAMES = (
    "command",
    "graph",
    "ingest",
    "incremental",
    "copies",
    "scale",
    "sizes",
    "dask_workers",
    "transform",
    "memory",
    "bucket",
    "train",
    "evaluate",
    "serve",
    "overload",
    "predict",
    "predict_remote",
    "predict_rows",
    "similar",
    "orchestrate",
    "drift",
    "drift_flowers",
    "alerts",
    "labelling",
    "monitor",
    "noisy_student",
)


def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"Any of: {', '.join(NAMES)}.")] = None,
) -> None:
    """Run the named benchmarks, or all of them."""
    for name in names or NAMES:
        if name not in NAMES:
            raise typer.BadParameter(f"no benchmark is called '{name}'{nearest(name, NAMES)}")
    # So that an ended benchmark ends what it runs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for name in names or NAMES:
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"\n## {name}\n\n{module.measure()}")


if __name__ == "__main__":
    typer.run(main)

"""What several verbs take, and the group of packages that each verb needs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from darkroom.errors import SettingsError

ConfigArgument = Annotated[str, typer.Argument(metavar="CONFIG", help="The config's YAML file.")]
DataOption = Annotated[
    str | None, typer.Option("--data", metavar="PATH", help="Label folders, or a CSV.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.SUB=VALUE", help="Change a setting; may be repeated."),
]
ModelArgument = Annotated[
    Path, typer.Argument(metavar="MODEL_DIR", help="A model, or where pushed models go.")
]
TargetOption = Annotated[str, typer.Option("--target", metavar="kfp|vertex", help="Which cluster.")]


OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of runs.")]
LOCAL = "local"
"""This machine, among the places to run."""


_GROUPS = {
    "index": "search",
    "labels": "ingest",
    "lineage": "pipeline",
    "monitor": "monitor",
    "predict": "predict",
    "rollback": "push",
    "serve": "serve",
    "similar": "search",
    "trigger": "trigger",
    "run": "dev",  # every step runs in this environment
    "tune": "dev",
}
"""By verb, the group of pyproject.toml that has its packages; `pipeline` for the others."""
_OURS = ("components", "darkroom", "pipeline")


def is_ours(module: str | None) -> bool:
    """Whether a missing module is one of this project, whose lack is a bug."""
    return module is None or module.partition(".")[0] in _OURS


def missing_packages(arguments: Sequence[str], module: str | None) -> SettingsError:
    """The error of a verb whose packages are not installed, in one line with the fix.

    Args:
        arguments: The command line, without the command.
        module: The module that was not found.

    >>> print(missing_packages(["serve", "models/flowers"], "fastapi"))
    darkroom serve needs packages that are not installed (fastapi): uv sync --group serve
    """
    verb = next((word for word in arguments if not word.startswith("-")), "")
    group, top = _GROUPS.get(verb, "pipeline"), (module or "").partition(".")[0]
    return SettingsError(
        f"darkroom {verb} needs packages that are not installed ({top}): uv sync --group {group}"
    )


def model_in(folder: Path) -> Path:
    """A model's folder: the one given, or the version that serves from where pushed models go."""
    from darkroom.artifacts.model_repository import serving_version

    version = serving_version(folder)
    return folder if version is None else version.folder

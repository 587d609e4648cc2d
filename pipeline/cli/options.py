"""Arguments and options that several of the command's verbs take."""

from typing import Annotated

import typer

ConfigArgument = Annotated[str, typer.Argument(metavar="CONFIG", help="The config's YAML file.")]
DataOption = Annotated[
    str | None, typer.Option("--data", metavar="PATH", help="Label folders, or a CSV.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.SUB=VALUE", help="Change a setting; may be repeated."),
]
TargetOption = Annotated[str, typer.Option("--target", metavar="kfp|vertex", help="Which cluster.")]

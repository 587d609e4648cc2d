"""A step from a shell: `python -m components.<name>`, with options named as in its `step.py`."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from darkroom.errors import DarkroomError, SettingsError
from darkroom.runtime.log import exit_with
from darkroom.runtime.run_step import run_step, settings_model, settings_models
from darkroom.settings import read_yaml

SETTINGS_HELP = "A YAML or JSON file, or an inline JSON object."


def step_command(function: Callable[..., Any]) -> None:
    """Runs a step's function from the command line of this process.

    Every parameter of the function becomes an option of the same name. Where the step's
    settings have `beam_options`, further options go to Beam as they are, as in
    `--runner DirectRunner`.

    Args:
        function: The step, as `run_step` takes it.
    """
    takes_beam_options = "beam_options" in settings_model(function).model_fields

    def command(context: typer.Context, **arguments: Any) -> None:
        try:
            for name in settings_models(function):
                arguments[name] = read_yaml(arguments[name])
            values = arguments.pop("settings")
            if context.args and not takes_beam_options:
                raise SettingsError(f"unknown option {context.args[0]}; see --help")
        except DarkroomError as error:
            exit_with(error, function.__name__)
        if context.args:
            values["beam_options"] = [*values.get("beam_options", []), *context.args]
        run_step(function, settings=values, **arguments)

    command.__doc__ = inspect.getdoc(function)
    command.__signature__ = _command_signature(function)  # type: ignore[attr-defined]
    application = typer.Typer(
        add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
    )
    application.command(
        name=function.__name__,
        help=_summary(function),
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(command)
    application()


def _command_signature(function: Callable[..., Any]) -> inspect.Signature:
    context = inspect.Parameter(
        "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    models = settings_models(function)
    parameters = inspect.signature(function).parameters.values()
    options = [_option(part.name, part.name in models, part.default) for part in parameters]
    return inspect.Signature([context, *options])


def _option(name: str, is_settings: bool, default: Any) -> inspect.Parameter:
    option = typer.Option(f"--{name.replace('_', '-')}", help=SETTINGS_HELP if is_settings else "")
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default="{}" if is_settings else "" if default is None else default,
        annotation=Annotated[str, option],
    )


def _summary(function: Callable[..., Any]) -> str:
    text = inspect.getdoc(function) or ""
    return text.split("\n\nArgs:")[0]

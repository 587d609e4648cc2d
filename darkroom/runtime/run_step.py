"""The one way a step's function is called: by kfp in a container, by kfp here, and from a shell."""

import atexit
import contextlib
import gc
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from darkroom.artifacts.provenance import making
from darkroom.errors import DarkroomError, SettingsError, StepError
from darkroom.runtime.log import configure_logging, exit_with
from darkroom.runtime.signals import exit_on_termination
from darkroom.runtime.step_record import StepRecord
from darkroom.settings import Settings, validate_settings
from darkroom.storage.atomic import is_disk_full, os_reason
from darkroom.storage.paths import is_uri

GC_THRESHOLD = 50_000
"""New objects after which Python looks for garbage."""

Result = TypeVar("Result")


def run_step(function: Callable[..., Result], **arguments: Any) -> Result:
    """Calls a step's function with validated settings, log lines and a journal entry.

    An error meant for people ends the process with its one line and its exit code; any other
    error is a bug of ours and keeps its traceback.

    Args:
        function: The step, such as `components.ingest.ingest.ingest`: its parameters are paths
            (`Path`), text (`str`) and settings (`Settings` models; its own are `settings`).
        **arguments: A value for each parameter: artifacts of kfp or paths as text, settings as a
            mapping.

    Returns:
        What the step's function returns.
    """
    name = function.__name__
    arguments = {key: getattr(value, "path", value) for key, value in arguments.items()}
    configure_logging()
    # By default Python looks for garbage after every 700 new objects; of the hundred thousands
    # that a step and its imports make none is, and looking took up to half of a step's time.
    gc.set_threshold(GC_THRESHOLD)
    # And once more as it ends, when all memory is given back anyway.
    atexit.register(gc.freeze)
    entry = StepRecord(name, {key: str(arguments[key]) for key in output_names(function)})
    try:
        with exit_on_termination(), _with_provenance(function, arguments):
            result = function(**_converted(function, arguments))
    except DarkroomError as error:
        entry.failed(str(error))
        exit_with(error, name)
    except SystemExit as error:
        entry.failed(str(error))
        raise
    except OSError as error:
        if not is_disk_full(error):
            entry.failed(f"{type(error).__name__}: {error}".splitlines()[0])
            raise
        # Wherever it comes up, it is one line, and no bug of ours.
        full = StepError(f"cannot write {error.filename or 'a file'}: {os_reason(error)}")
        with contextlib.suppress(OSError):
            entry.failed(str(full))
        exit_with(full, name)
    except BaseException as error:
        entry.failed(f"{type(error).__name__}: {error}".splitlines()[0])
        raise
    entry.succeeded(result)
    return result


def _with_provenance(
    function: Callable[..., Any], arguments: Mapping[str, Any]
) -> contextlib.AbstractContextManager[None]:
    """Has the artifacts' manifests say what the step is and what they are made of."""
    models = settings_models(function)
    outputs = {name: str(arguments[name]) for name in output_names(function)}
    inputs = {
        name: Path(arguments[name])
        for name, hint in get_type_hints(function).items()
        if _is_path(hint) and arguments.get(name) and name not in outputs
    }
    settings = {name: arguments[name] for name in models if name in arguments}
    return making(function.__name__, function.__module__, inputs, outputs, settings)


def output_names(function: Callable[..., Any]) -> list[str]:
    """The artifacts a step's function writes: its keyword-only parameters."""
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


def settings_model(function: Callable[..., Any]) -> type[Settings]:
    """The settings model of a step's function."""
    return settings_models(function)["settings"]


def settings_models(function: Callable[..., Any]) -> dict[str, type[Settings]]:
    """The settings models among a step's parameters: its own, and those of other steps."""
    hints = get_type_hints(function)
    return {
        name: hints[name]
        for name in inspect.signature(function).parameters
        if isinstance(hints[name], type) and issubclass(hints[name], Settings)
    }


def _is_path(hint: Any) -> bool:
    """Whether a parameter is an artifact, which the step may do without."""
    return hint is Path or Path in get_args(hint)


def _folder(name: str, value: str | Path) -> Path:
    """An artifact's folder, as an absolute path: workers may be in another working folder."""
    if is_uri(str(value)):
        raise SettingsError(
            f"--{name.replace('_', '-')} {value}: an artifact is a folder of this machine, or a "
            "bucket that is mounted as one; records go to a bucket by data_root (docs/clusters.md)"
        )
    return Path(value).absolute()


def _converted(function: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    hints, models = get_type_hints(function), settings_models(function)
    converted = dict(arguments)
    for name, value in arguments.items():
        if _is_path(hints[name]):
            converted[name] = _folder(name, value) if value else None
        elif name in models:
            section = "" if name == "settings" else name
            converted[name] = validate_settings(hints[name], value, section)
    return converted

"""The settings of a command line: a file of them, options, and the one model's directory."""

from collections.abc import Mapping
from typing import Any

from components.serve.settings import ServeSettings
from components.serve.versions.model_directory import model_name
from darkroom.errors import SettingsError
from darkroom.settings import read_yaml, validate_settings


def read_settings(
    file: str, model_dir: str | None, name: str | None, given: Mapping[str, Any]
) -> ServeSettings:
    """The settings of a command line.

    Args:
        file: A YAML or JSON file, or a JSON object.
        model_dir: The one model to serve, where it stands on the command line.
        name: Its name; the directory's own if not given.
        given: Options by setting, None where not given; they go before those of the file.

    Raises:
        SettingsError: A setting is wrong, or no model is named, or it is named twice.
    """
    values = read_yaml(file) | {key: value for key, value in given.items() if value is not None}
    if model_dir is not None:
        if "models" in values:
            raise SettingsError("give MODEL_DIR, or `models` in the settings, not both")
        values["models"] = {name or model_name(model_dir): model_dir}
    elif name is not None:
        raise SettingsError("--name is of a MODEL_DIR: `models` in the settings have their names")
    settings = validate_settings(ServeSettings, values)
    if not settings.models:
        raise SettingsError("no model to serve: give MODEL_DIR, or `models` in the settings")
    return settings

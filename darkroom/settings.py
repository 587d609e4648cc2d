"""Settings: frozen, validated models whose every error is one line that names the key."""

import difflib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

# Pydantic would look through every installed package for plugins, of which none is ours.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")

import pydantic
import yaml

from darkroom.errors import SettingsError


class Settings(pydantic.BaseModel):
    """Base of every component's settings: unknown keys are errors, values cannot change."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, validate_default=True)


SettingsModel = TypeVar("SettingsModel", bound=pydantic.BaseModel)


def validate_settings(
    model: type[SettingsModel], values: Mapping[str, Any], section: str = ""
) -> SettingsModel:
    """Validates `values` against `model`.

    Args:
        model: The settings model.
        values: Raw values, as YAML or JSON gave them.
        section: Put before the key in messages, such as `train`.

    Returns:
        The validated, frozen settings.

    Raises:
        SettingsError: One line naming the first wrong key, and the nearest valid one.
    """
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        raise SettingsError(_describe(error, model, values, section)) from None


def _describe(
    error: pydantic.ValidationError,
    model: type[pydantic.BaseModel],
    values: Mapping[str, Any],
    section: str,
) -> str:
    first = error.errors()[0]
    location = _within(values, first["loc"])
    key = ".".join(str(part) for part in ([section] if section else []) + location)
    if first["type"] == "extra_forbidden":
        owner = _model_at(model, location[:-1])
        return f"unknown setting '{key}'{nearest(str(location[-1]), owner.model_fields)}"
    if first["type"] == "missing":
        return f"setting '{key}' is missing"
    message = first["msg"].removeprefix("Value error, ")
    message = _PLAIN.get(first["type"], message)
    return f"setting '{key}': {message} (got {first['input']!r})"


_PLAIN = {"tuple_type": "expected a list, such as [a, b]"}
"""pydantic's messages that speak of Python's types."""


def _within(values: Any, location: Sequence[int | str]) -> list[int | str]:
    """The parts of a location that lead into the values, without the branches of a union."""
    parts: list[int | str] = []
    for part in location:
        if isinstance(values, Mapping):
            values = values.get(str(part))
        elif isinstance(values, list | tuple) and isinstance(part, int):
            values = values[part] if part < len(values) else None
        else:
            continue
        parts.append(part)
    return parts


def _model_at(model: type[pydantic.BaseModel], location: list[Any]) -> type[pydantic.BaseModel]:
    """The nested model a location points into, as far as plain nesting goes."""
    for part in location:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else None
        # A section that may be left out is `Section | None`.
        choices = getattr(annotation, "__args__", (annotation,))
        sections = [c for c in choices if isinstance(c, type) and issubclass(c, pydantic.BaseModel)]
        if len(sections) != 1:
            break
        (model,) = sections
    return model


_LONGEST_NAME = 200


def nearest(name: str, valid: Any) -> str:
    """The end of an error message that offers the valid name nearest to `name`.

    >>> nearest("epoch", ["epochs", "seed"])
    "; did you mean 'epochs'?"
    >>> nearest("zzz", ["epochs", "seed"])
    '; valid: epochs, seed'
    """
    names = sorted(valid)
    if len(name) > _LONGEST_NAME:  # nobody's slip of the pen, and slow to compare
        return ""
    if not names:
        return "; there is none"
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; valid: {', '.join(names)}"


def set_value(values: dict[str, Any], key: str, value: Any) -> None:
    """Sets one of nested raw values, in place.

    Args:
        values: Raw values, as YAML or JSON gave them.
        key: Its dotted name, such as `train.epochs`.
        value: Its new value.

    Raises:
        SettingsError: The key leads through something that is no section.
    """
    *parents, last = key.split(".")
    for parent in parents:
        if values.get(parent) is None:
            values[parent] = {}
        values = values[parent]
        if not isinstance(values, dict):
            raise SettingsError(f"{key}: '{parent}' has no settings below it")
    values[last] = value


def parse_value(text: str) -> Any:
    """A setting's value from a command line: YAML, or else the text itself."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


class _Loader(yaml.SafeLoader):
    """Refuses a mapping that names a key twice, of which YAML would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping, whose keys differ."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key, (key_node, _) in zip(keys, node.value, strict=True):
            if key != "<<" and keys.count(key) > 1:
                line = key_node.start_mark.line + 1
                raise yaml.YAMLError(f"'{key}' is there twice (line {line})")
        return super().construct_mapping(node, deep)


def read_yaml(text_or_path: str) -> dict[str, Any]:
    """Reads a mapping from a YAML or JSON file, or from an inline JSON object.

    Raises:
        SettingsError: The file is missing, does not parse or holds no mapping.
    """
    if text_or_path.lstrip().startswith("{"):
        return _mapping(text_or_path, "the inline JSON object")
    path = Path(text_or_path)
    try:
        return _mapping(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise SettingsError(f"cannot read settings file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"settings file {path} is not UTF-8 text") from None


def _mapping(text: str, source: str) -> dict[str, Any]:
    try:
        # YAML reads JSON too, save for a few corner cases, so JSON is tried first.
        values = json.loads(text) if text.lstrip().startswith("{") else yaml.load(text, _Loader)
    except (yaml.YAMLError, json.JSONDecodeError) as error:
        detail = " ".join(str(error).split())
        raise SettingsError(f"{source} does not parse: {detail}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(f"{source} holds {type(values).__name__}, not a mapping of settings")
    return values

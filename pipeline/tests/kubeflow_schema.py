"""The schemas of Kubeflow's API, from its own client's models, enforced to the letter."""

import datetime
import re
from collections.abc import Mapping
from typing import Any

import kfp_server_api.models as models

_PLAIN: dict[str, Any] = {"str": str, "bool": bool, "int": int, "float": (int, float)}


class SchemaError(Exception):
    """A value is not of its schema."""


def check(value: Any, type_name: str, where: str = "") -> None:
    """Checks JSON against a type of the API.

    Args:
        value: The JSON value.
        type_name: As the client's models write it, such as `V2beta1Run` or `list[V2beta1Run]`.
        where: The path of the value, for the message.

    Raises:
        SchemaError: An unknown field, a wrong type or an unknown name of an enumeration.
    """
    if type_name == "object":
        return
    if match := re.fullmatch(r"list\[(.*)\]", type_name):
        _expect(isinstance(value, list), where, type_name, value)
        for index, item in enumerate(value):
            check(item, match[1], f"{where}[{index}]")
    elif match := re.fullmatch(r"dict\(str, (.*)\)", type_name):
        _expect(isinstance(value, dict), where, type_name, value)
        for key, item in value.items():
            check(item, match[1], f"{where}.{key}")
    elif type_name in _PLAIN:
        is_one = isinstance(value, _PLAIN[type_name])
        _expect(
            is_one and isinstance(value, bool) == (type_name == "bool"), where, type_name, value
        )
    elif type_name == "datetime":
        _expect(isinstance(value, str), where, type_name, value)
        try:
            datetime.datetime.fromisoformat(value)
        except ValueError:
            raise SchemaError(f"{where}: {value!r} is no time") from None
    else:
        _check_model(value, getattr(models, type_name), where)


def _check_model(value: Any, model: Any, where: str) -> None:
    names = getattr(model, "allowable_values", None)
    if names is not None:
        _expect(value in names, where, model.__name__, value)
        return
    _expect(isinstance(value, dict), where, model.__name__, value)
    types = {model.attribute_map[name]: kind for name, kind in model.openapi_types.items()}
    for key, item in value.items():
        if key not in types:
            raise SchemaError(f'proto: unknown field "{key}" in {where or model.__name__}')
        check(item, types[key], f"{where}.{key}")


def _expect(holds: bool, where: str, type_name: str, value: Any) -> None:
    if not holds:
        raise SchemaError(f"{where}: {value!r} is no {type_name}")


def check_query(query: Mapping[str, str], known: frozenset[str]) -> None:
    """Checks that an endpoint knows a query's parameters.

    Raises:
        SchemaError: It does not.
    """
    if unknown := query.keys() - known:
        raise SchemaError(f"unknown query parameters {sorted(unknown)}")

"""The OpenAPI schemas of KServe's resources, out of its own models (the package `kserve`).

They are generated from the Go types that the CRD is generated from, too. What the CRD says beside
types, required fields and names (as of KServe 0.20) is added here.
"""

import functools
import inspect
import re
from typing import Any

import jsonschema

_SCALARS: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "datetime": {"type": "string"},
}
_FURTHER: dict[tuple[str, str], dict[str, Any]] = {
    ("V1beta1CanarySpec", "trafficPercent"): {"minimum": 0, "maximum": 100},
    ("V1beta1CanarySpec", "predictor"): {"properties": {"model": {"required": ["name"]}}},
    ("V1beta1PredictorSpec", "name"): {"pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"},
}


@functools.cache
def schema(name: str = "V1beta1InferenceService") -> dict[str, Any]:
    """The JSON schema of a resource; fields that it does not name are refused."""
    definitions: dict[str, Any] = {}
    _define(name, definitions)
    return {"$ref": f"#/$defs/{name}", "$defs": definitions}


@functools.cache
def validator(name: str = "V1beta1InferenceService") -> Any:
    """What checks documents by a resource's schema; to check the schema itself takes a while."""
    return jsonschema.Draft202012Validator(schema(name))


def properties_of(name: str) -> dict[str, Any]:
    """The fields of a type."""
    properties: dict[str, Any] = schema()["$defs"][name]["properties"]
    return properties


def _define(name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    model = _model(name)
    if model is None:  # a quantity, or an integer or string
        return {}
    if name not in definitions:
        definitions[name] = {"type": "object", "additionalProperties": False}
        definitions[name]["required"] = [
            model.attribute_map[attribute]
            for attribute in model.openapi_types
            if "must not be `None`" in inspect.getsource(getattr(model, attribute).fset)
        ]
        definitions[name]["properties"] = {
            key: _type(model.openapi_types[attribute], definitions) | _FURTHER.get((name, key), {})
            for attribute, key in model.attribute_map.items()
        }
    return {"$ref": f"#/$defs/{name}"}


def _type(text: str, definitions: dict[str, Any]) -> dict[str, Any]:
    if match := re.fullmatch(r"list\[(.*)\]", text):
        return {"type": "array", "items": _type(match[1], definitions)}
    if match := re.fullmatch(r"dict\(str, (.*)\)", text):
        return {"type": "object", "additionalProperties": _type(match[1], definitions)}
    return _SCALARS.get(text) or _define(text, definitions)


def _model(name: str) -> Any:
    import kserve.models
    import kubernetes.client

    name = re.sub("^K8sIoApi[A-Z][a-z]+(?=V[0-9])", "", name)
    return getattr(kserve.models, name, None) or getattr(kubernetes.client, name, None)

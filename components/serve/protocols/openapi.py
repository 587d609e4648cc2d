"""The OpenAPI document of the server's routes, KServe's among them.

FastAPI knows the paths, but neither the bodies, which the routes read on their own, nor how they
refuse; and it would name those paths of KServe too that ours stand before.
"""

import functools
import re
from collections.abc import Container, Iterator, Sequence
from typing import Any

import pydantic
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from components.serve.protocols.bodies import Error, PredictRequest
from components.serve.protocols.v2_request import JSON_LENGTH, V2Request

Document = dict[str, Any]

_PARAMETER = re.compile(r"\{(\w+)\}")
_SCHEMA = "#/components/schemas/{model}"
_OF_A_MODEL = {404: "A model or version that is not served."}
_OF_A_BODY = {
    400: "The request is wrong.",
    403: "A file that this server does not read for its clients.",
    408: "The body did not come in time.",
    413: "The body, the photographs in it or their number are too large.",
    415: "An image of a kind that is not taken.",
    429: "The server is busy: try again in a second.",
}
_UNAVAILABLE = {503: "No version is loaded yet, the server ends, or the answer takes too long."}
_KEYS = {
    "Bearer": {"type": "http", "scheme": "bearer"},
    "X-API-Key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def answers(model: type[pydantic.BaseModel], *more_types: str) -> dict[str, Any]:
    """What FastAPI is told of a route's answer.

    Args:
        model: Its body.
        more_types: Content types that it may have beside JSON.
    """
    content: Document = {content_type: {} for content_type in more_types}
    return {"responses": {200: {"model": model, "content": content}}}


def takes(model: type[pydantic.BaseModel], *more_types: str) -> dict[str, Any]:
    """What FastAPI is told of the body that a route takes.

    Args:
        model: The body, one of `_BODIES`.
        more_types: Content types that it may have beside JSON.
    """
    schema = {"$ref": _SCHEMA.format(model=model.__name__)}
    content = {"application/json": {"schema": schema}} | {each: {} for each in more_types}
    return {"openapi_extra": {"requestBody": {"required": True, "content": content}}}


def describe(application: FastAPI, names: Sequence[str], open_paths: Container[str] | None) -> None:
    """Lets an application answer `/openapi.json` with what its routes take and give.

    Args:
        application: The application, which may get routes until it is first asked.
        names: The models' names.
        open_paths: Paths that need no key; None where none does.
    """

    @functools.cache
    def document() -> Document:
        # Of two routes of one path the first answers, and FastAPI describes the last.
        routes = list(reversed(application.routes))
        found = get_openapi(title=application.title, version=application.version, routes=routes)
        _add_bodies(found)
        found["paths"] = _without_shadowed(found["paths"])
        for path, method, operation in _operations(found):
            operation["parameters"] = _parameters(path, names)
            _correct_answers(path, method, operation["responses"])
        if open_paths is not None:
            _require_keys(found, open_paths)
        return found

    application.openapi = document  # type: ignore[method-assign]


def _add_bodies(document: Document) -> None:
    bodies = [(model, "validation") for model in (Error, PredictRequest, V2Request)]
    _, schemas = models_json_schema(bodies, ref_template=_SCHEMA)  # type: ignore[arg-type]
    document.setdefault("components", {}).setdefault("schemas", {}).update(schemas["$defs"])


def _without_shadowed(paths: Document) -> Document:
    """The paths, but those that stand behind one of the same form with other parameter names."""
    found: dict[str, str] = {}
    for path in reversed(paths):
        found.setdefault(_PARAMETER.sub("{}", path), path)
    return {path: paths[path] for path in sorted(found.values())}


def _operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _parameters(path: str, names: Sequence[str]) -> list[Document]:
    schemas = {
        "name": {"type": "string", "enum": list(names)},
        "version": {"type": "string", "pattern": "^[0-9]{1,18}$"},
    }
    named = {"model_name": "name", "model_version": "version"}
    found = [
        {"name": each, "in": "path", "required": True, "schema": schemas[named.get(each, each)]}
        for each in _PARAMETER.findall(path)
    ]
    if path.endswith("/infer"):
        text = "Bytes of the JSON, where tensors follow it as bytes."
        schema = {"type": "integer", "minimum": 0}
        found.append({"name": JSON_LENGTH, "in": "header", "description": text, "schema": schema})
    return found


def _correct_answers(path: str, method: str, responses: Document) -> None:
    """Says how a route refuses, and what FastAPI cannot know of KServe's."""
    refusals = (
        (_OF_A_MODEL if "{" in path else {})
        | (_OF_A_BODY if method == "post" else {})
        | (_UNAVAILABLE if "{" in path or path.endswith("ready") else {})
    )
    responses.pop("422", None)  # FastAPI's own, which the server answers by 400
    if path.startswith("/v2/repository/"):
        responses.pop("200")
    if path == "/metrics":
        responses["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    for status, text in refusals.items():
        schema = {"$ref": _SCHEMA.format(model=Error.__name__)}
        found = responses.setdefault(str(status), {"description": text})
        found["content"] = {"application/json": {"schema": schema}}


def _require_keys(document: Document, open_paths: Container[str]) -> None:
    document["components"]["securitySchemes"] = _KEYS
    for path, _, operation in _operations(document):
        if path not in open_paths:
            operation["security"] = [{scheme: []} for scheme in _KEYS]
            operation["responses"]["401"] = {"description": "No key that this server knows."}

"""`python -m pipeline.settings_page`: writes docs/settings.md from the settings models."""

import ast
import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pydantic
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from components.ingest.settings import StreamSettings
from darkroom.backbones.registry import backbones
from darkroom.metrics import known_metrics
from darkroom.storage.atomic import write_text
from pipeline.config import Config, config_model

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"

_INTRODUCTION = """\
# Settings

<!-- Made by `python -m pipeline.settings_page`: change the settings models, not this page. -->

A config is one YAML file; `configs/flowers.yaml` is one to copy. `data` must be given, there or by
`--data`; within a section, only what is marked *required*. On a command line a key is set by its
dotted name: `--set train.epochs=5 --set 'evaluate.slices=[label, camera]'`. An unknown key or a
wrong value stops a command before anything runs, with exit code 2 and the nearest valid name.
In the headings below `NAME` is a step, a metric or a setting, and `[]` each entry of a list."""
_STREAMING = "Streaming ingest"
_METRICS = """\
## Metrics

The names that `evaluate.thresholds` takes. A bare number is the least value where higher is better,
and the greatest where lower is."""
_BACKBONES = """\
## Backbones

The names that `train.backbone` takes and, where there are ImageNet weights,
`transform.embeddings.backbone`. A network of your own is `my_package.my_module:my_function`."""

_TYPES = {"boolean": "`true`, `false`"}
_BOUNDS = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}

Schema = Mapping[str, Any]


class WithDocstrings(GenerateJsonSchema):
    """Describes each property of a model by the docstring below its field.

    Pydantic does so itself with `use_attribute_docstrings`, which costs every command 0.2 s.
    """

    def model_schema(self, schema: Any) -> dict[str, Any]:
        """The schema of one model, as pydantic asks for it."""
        result = super().model_schema(schema)
        texts = _docstrings(schema["cls"])
        for name, field in result["properties"].items():
            field.setdefault("description", texts.get(name))
            if not field["description"]:
                raise LookupError(f"{schema['cls'].__name__}.{name} has no docstring below it")
        return result


def _docstrings(model: type[pydantic.BaseModel]) -> dict[str, str]:
    """The docstrings below the fields of a model, by field."""
    # A config's sections of steps are in no source: the table of steps describes them.
    own = Config if issubclass(model, Config) else model
    found = {}
    for owner in reversed(own.__mro__[: own.__mro__.index(pydantic.BaseModel)]):
        (source,) = ast.parse(inspect.getsource(owner)).body
        assert isinstance(source, ast.ClassDef)
        for field, below in zip(source.body, source.body[1:], strict=False):
            match field, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(ast.Constant(str(text))):
                    found[name] = text
    return found


def settings_page() -> str:
    """The page, in Markdown."""
    config, stream = config_model(), StreamSettings
    given, schema = models_json_schema(
        [(config, "validation"), (stream, "validation")], schema_generator=WithDocstrings
    )
    sections: Mapping[str, Schema] = schema["$defs"]
    fields = sections[_referred(given[config, "validation"])]["properties"]
    # Keys that are no section, then the sections of steps in their order, then the others.
    order = sorted(
        fields.items(), key=lambda item: ("type" not in item[1], item[0] in Config.model_fields)
    )
    headings = {name: path for key, field in order for path, name in _walk(key, field, sections)}
    headings[_referred(given[stream, "validation"])] = _STREAMING

    parts = [_INTRODUCTION, _table("key | meaning", _overview(order, headings.values()))]
    for name, heading in headings.items():
        rows = _rows(sections[name], headings)
        parts.append(f"{'###' if '.' in heading else '##'} {heading}")
        parts += [sections[name]["description"], _table("key | values | default | meaning", rows)]
    parts += [_METRICS, _table("name | title | better | labels an image | meaning", _metrics())]
    header = "name | smallest side in pixels | `alpha` | ImageNet weights"
    parts += [_BACKBONES, _table(header, _backbones())]
    return "\n\n".join(parts) + "\n"


def _walk(path: str, field: Schema, sections: Mapping[str, Schema]) -> Iterator[tuple[str, str]]:
    """The sections in a field, outer ones first: the path of each, and its name in the schema."""
    if "$ref" in field:
        name = _referred(field)
        yield path, name
        for key, inner in sections[name]["properties"].items():
            yield from _walk(f"{path}.{key}", inner, sections)
    for choice in field.get("anyOf", ()):
        yield from _walk(path, choice, sections)
    if "items" in field:
        yield from _walk(f"{path}[]", field["items"], sections)
    if isinstance(field.get("additionalProperties"), dict):
        yield from _walk(f"{path}.NAME", field["additionalProperties"], sections)


def _referred(field: Schema) -> str:
    """The name of the section that a reference leads to."""
    return str(field["$ref"]).rpartition("/")[2]


def _overview(fields: Iterable[tuple[str, Schema]], top: Iterable[str]) -> Iterator[list[str]]:
    for key, field in fields:
        text = field["description"].rstrip(".")
        left_out = " Left out by default." if _default(field) == "unset" else ""
        yield [_link(key) if key in top else _code(key), f"{text[0].upper()}{text[1:]}.{left_out}"]


def _rows(section: Schema, headings: Mapping[str, str]) -> Iterator[list[str]]:
    required = section.get("required", ())
    for key, field in section["properties"].items():
        default = "*required*" if key in required else _default(field)
        yield [_code(key), _value(field, headings), default, field["description"]]


def _value(field: Schema, headings: Mapping[str, str]) -> str:
    """The values that a field takes."""
    match field:
        case {"$ref": _}:
            return _link(headings[_referred(field)])
        case {"anyOf": choices}:
            some = [choice for choice in choices if choice.get("type") != "null"]
            return " or ".join(_value(choice, headings) for choice in some)
        case {"enum": values}:
            return ", ".join(_code(value) for value in values)
        case {"prefixItems": parts}:
            return f"list of {len(parts)}: " + ", ".join(_value(part, headings) for part in parts)
        case {"type": "array", "items": items}:
            return f"list of {_value(items, headings)}"
        case {"type": "object", "additionalProperties": {} as values}:
            return f"mapping to {_value(values, headings)}"
    bounds = " and ".join(f"{sign} {field[key]}" for key, sign in _BOUNDS.items() if key in field)
    form = f"of the form {_code(field['pattern'])}" if "pattern" in field else ""
    return " ".join(filter(None, [_TYPES.get(field["type"], field["type"]), bounds, form]))


def _default(field: Schema) -> str:
    default = field.get("default", {})
    # A section has the defaults of its own keys.
    return "" if "$ref" in field else "unset" if default is None else _code(default)


def _metrics() -> Iterator[list[str]]:
    for metric in known_metrics().values():
        kinds = {"one": metric.single_label, "several": metric.multi_label}
        labels = " or ".join(kind for kind, computed in kinds.items() if computed)
        yield [_code(metric.name), metric.title, metric.direction, labels, metric.meaning]


def _backbones() -> Iterator[list[str]]:
    for name, backbone in backbones().items():
        has = ("yes" if part else "" for part in (backbone.takes_alpha, backbone.has_imagenet))
        yield [_code(name), str(backbone.minimum_side), *has]


def _table(header: str, rows: Iterable[Iterable[str]]) -> str:
    ruler = re.sub(r"[^|]+", "---", header)
    cells = ([" ".join(cell.split()).replace("|", r"\|") for cell in row] for row in rows)
    lines = [f"| {header} |", f"|{ruler}|", *(f"| {' | '.join(row)} |" for row in cells)]
    return "\n".join(lines)


def _link(heading: str) -> str:
    """A link to a section of the page, whose anchor GitHub makes of its heading."""
    return f"[{heading}](#{re.sub(r'[^a-z0-9_-]', '', heading.lower().replace(' ', '-'))})"


def _code(value: object) -> str:
    text = value if isinstance(value, str) and value else json.dumps(value)
    return f"`{text}`"


if __name__ == "__main__":
    write_text(PAGE, settings_page())

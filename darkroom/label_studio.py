"""What Label Studio exports: annotations of tasks, and the labels that they choose.

Its formats: https://labelstud.io/guide/export. JSON has all annotations of a task, cancelled ones
too; JSON-MIN and CSV have a row an annotation.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from darkroom.artifacts.examples import label_text
from darkroom.artifacts.rejected import Reason, RejectedError

CONTROL = "label"
"""The name of the choices in the interface: choices of another name are no labels."""


def is_task(entry: Any) -> bool:
    """Whether an entry of JSON is a task with its annotations, and no row of JSON-MIN."""
    return isinstance(entry, dict) and isinstance(entry.get("annotations"), list)


def annotations(task: dict[str, Any]) -> Iterator[Any]:
    """The annotations of a task of JSON, each with the fields that JSON-MIN would have.

    A task that nobody has labelled has one that chooses nothing. What is no annotation is None.
    """
    data = task.get("data")
    for annotation in task["annotations"] or [{"result": []}]:
        yield _fields(data, annotation)


def _fields(data: Any, annotation: Any) -> dict[str, Any] | None:
    if not isinstance(data, dict) or not isinstance(annotation, dict):
        return None
    results = annotation.get("result")
    chosen = [
        result.get("value")
        for result in (results if isinstance(results, list) else [])
        if isinstance(result, dict) and result.get("from_name") == CONTROL
    ]
    own = {
        CONTROL: chosen,
        "annotator": annotation.get("completed_by"),
        "updated_at": annotation.get("updated_at") or annotation.get("created_at"),
        "was_cancelled": annotation.get("was_cancelled"),
    }
    return data | own


def chosen_labels(value: Any, separator: str | None = None) -> list[str]:
    """The labels that an annotation's field `label` chooses, each once, sorted.

    Args:
        value: Text, `{"choices": [...]}`, or a list of such.
        separator: What stands between labels in a text, where photographs have several.

    Raises:
        RejectedError: It is not to be understood.
    """
    values = value if isinstance(value, list) else [value]
    names = (name.strip() for each in values for name in _choices(each, separator))
    return sorted({name for name in names if name})


def _choices(value: Any, separator: str | None) -> Sequence[str]:
    if isinstance(value, dict):
        given = value.get("choices")
        if not isinstance(given, list):
            raise RejectedError(Reason.MALFORMED_ROW, "the label is an object without choices")
        return [_name(each) for each in given]
    name = "" if value is None else _name(value)
    if name.startswith('{"choices"'):
        try:
            return _choices(json.loads(name), None)
        except (ValueError, RecursionError):
            raise RejectedError(Reason.MALFORMED_ROW, f"the label {name} is cut off") from None
    return name.split(separator) if separator else (name,)


def _name(value: Any) -> str:
    """A label's text in its one spelling."""
    if not isinstance(value, str | int | float):
        raise RejectedError(Reason.MALFORMED_ROW, f"a label is {type(value).__name__}, not text")
    name = writable_text(label_text(value))
    if "\n" in name or "\r" in name:
        raise RejectedError(Reason.MALFORMED_ROW, "the label holds a line break")
    return name


def writable_text(text: str) -> str:
    """Text without halves of characters, which JSON may spell and no file may hold."""
    return text.encode("utf-8", "replace").decode("utf-8")

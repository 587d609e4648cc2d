"""What Label Studio imports: tasks with the model's answers filled in, and the labelling interface.

Its format: https://labelstud.io/guide/predictions. A project takes `interface.xml` as its labelling
interface and `tasks.json` as data. `export.py` reads what comes back.
"""

import os
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from components.monitor.labelling.choice import Choice
from components.monitor.labelling.pool import Pool
from darkroom.errors import SettingsError
from darkroom.label_studio import CONTROL
from darkroom.storage.atomic import write_json, write_text
from darkroom.storage.paths import is_uri

OBJECT = "image"
"""The name of what is shown in the interface."""
IMAGE_ID, SOURCE = "image_id", "source"
"""Of a task's data: which photograph it is, and where it lies; `image` is where it is shown."""
LOCAL_FILES = "/data/local-files/?d="


def write_tasks(
    tasks: Path,
    interface: Path,
    pool: Pool,
    choices: Sequence[Choice],
    model_version: str,
    document_root: str | None = None,
) -> None:
    """Writes the tasks, and the interface to label them in.

    Args:
        tasks: The JSON file to write.
        interface: The XML file to write.
        pool: The photographs.
        choices: Of them, those to label.
        model_version: Whose answers they are, as people see it.
        document_root: The folder that Label Studio shows local files from.

    Raises:
        SettingsError: A photograph is a local file, and not below `document_root`.
        OSError: A file cannot be written.
    """
    root = None if document_root is None else Path(document_root).absolute()
    document = [_task(pool, choice, model_version, root) for choice in choices]
    write_json(tasks, document)
    write_text(interface, interface_of(pool.labels, pool.thresholds is not None))


def interface_of(labels: Sequence[str], several: bool) -> str:
    """Label Studio's labelling interface, as XML.

    Args:
        labels: The labels to choose from.
        several: Whether a photograph may have several.
    """
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name=OBJECT, value=f"${OBJECT}")
    kind = "multiple" if several else "single-radio"
    choices = ElementTree.SubElement(view, "Choices", name=CONTROL, toName=OBJECT, choice=kind)
    for label in labels:
        ElementTree.SubElement(choices, "Choice", value=label)
    ElementTree.SubElement(view, "Text", name="why", value="$reason")
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def _task(pool: Pool, choice: Choice, model_version: str, root: Path | None) -> dict[str, Any]:
    place = choice.place
    answer = pool.names(pool.answers[place])
    image, image_id = pool.images[place], pool.image_ids[place]
    data = {
        OBJECT: _shown_from(image, root),
        SOURCE: image,
        IMAGE_ID: image_id,
        "reason": choice.reason.value,
        "model_label": ", ".join(answer),
        "given_label": ", ".join(pool.names(pool.given[place])),
        **choice.figures,
    }
    result = {
        "id": image_id[:10],
        "type": "choices",
        "from_name": CONTROL,
        "to_name": OBJECT,
        "value": {"choices": list(answer)},
    }
    said = {
        "model_version": model_version,
        "score": round(1 - choice.closeness, 4),
        "result": [result],
    }
    return {"data": data, "predictions": [said] if answer else []}


def _shown_from(image: str, root: Path | None) -> str:
    """Where Label Studio reads a photograph."""
    if is_uri(image):
        return image
    if root is None:
        raise SettingsError(
            f"{image} is a local file: set document_root to the folder that Label Studio shows "
            "files from"
        )
    path = os.path.normpath(image)
    if not Path(path).is_relative_to(root):
        raise SettingsError(f"{image} is not below document_root {root}, so it cannot be shown")
    return LOCAL_FILES + urllib.parse.quote(Path(path).relative_to(root).as_posix())

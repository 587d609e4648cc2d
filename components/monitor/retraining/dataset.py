"""The dataset of production's photographs, which ingest reads beside the old data.

    DATASET/photographs/9f/9f86d081884c7d65...      a photograph, by its digest
    DATASET/retraining-0001-20261127t090000.jsonl   a table for each retraining

Nothing in it is changed once it is written, and each photograph is in one table. What the model
itself labelled is in tables apart (`pseudo_labelled.py`).
"""

import json
import logging
import re
from collections.abc import Mapping
from typing import NamedTuple

from components.monitor.retraining.labelled import LabelledPhotograph
from components.monitor.retraining.settings import tables_of
from darkroom.artifacts.examples import FEATURE_TYPES, LABELS, MONITORED, SOURCE
from darkroom.errors import StepError
from darkroom.storage import files

DAY = "answered_on"
"""The column of the day on which a photograph was first answered."""
_OWN = frozenset({*FEATURE_TYPES, LABELS, "image", "label", "split", SOURCE, DAY})
_DIGEST = re.compile(r"/([0-9a-f]{64})$")
_log = logging.getLogger("darkroom.monitor")


class Tables(NamedTuple):
    """What the tables of a dataset hold.

    Attributes:
        photographs: The `image_id` of all photographs.
        counts: Number of photographs by table.
    """

    photographs: frozenset[str]
    counts: Mapping[str, int]


def read_tables(dataset: str) -> Tables:
    """Reads which photographs a dataset has.

    Raises:
        StepError: It cannot be read.
    """
    known: set[str] = set()
    counts: dict[str, int] = {}
    with files.clear_errors(f"cannot read {dataset}", StepError):
        for table in files.list_files(tables_of(dataset)):
            name = table.location.rpartition("/")[2].removesuffix(".jsonl")
            lines = files.read_bytes(table.location.removeprefix("file://")).splitlines()
            found = [_DIGEST.search(json.loads(line)["image"]) for line in lines if line]
            known.update(match[1] for match in found if match)
            counts[name] = len(found)
    return Tables(frozenset(known), counts)


def write_photograph(dataset: str, image_id: str, content: bytes) -> None:
    """Writes a photograph, unless it is there.

    Raises:
        StepError: It cannot be written.
    """
    with files.clear_errors(f"cannot write to {dataset}", StepError):
        files.create(f"{dataset}/{place_of(image_id)}", content)


def write_table(dataset: str, name: str, rows: Mapping[str, LabelledPhotograph]) -> None:
    """Writes a table, all of it at once, unless it is there.

    Args:
        dataset: Path or URI of the dataset.
        name: The table's name.
        rows: Photographs that are written already, by `image_id`.

    Raises:
        StepError: It cannot be written.
    """
    text = "".join(_line(image_id, rows[image_id]) for image_id in sorted(rows))
    with files.clear_errors(f"cannot write to {dataset}", StepError):
        files.create(f"{dataset}/{name}.jsonl", text.encode())


def place_of(image_id: str) -> str:
    """Where a photograph is within the dataset."""
    return f"photographs/{image_id[:2]}/{image_id}"


def _line(image_id: str, photograph: LabelledPhotograph) -> str:
    columns = {name: value for name, value in photograph.columns.items() if name not in _OWN}
    row = {
        "image": place_of(image_id),
        "label": photograph.label,
        SOURCE: MONITORED,
        DAY: photograph.day,
        **columns,
    }
    return json.dumps(row, ensure_ascii=False) + "\n"

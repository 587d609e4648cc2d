"""Small real image files to ingest."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.ingest.ingest import ingest
from components.ingest.settings import IngestSettings
from components.ingest.tests.pictures import encoded, gradient
from darkroom.artifacts.examples import SPLITS, read_examples
from darkroom.records.example_proto import parsed_example
from darkroom.records.tfrecord import read_records


@pytest.fixture
def photographs(tmp_path: Path) -> Callable[[int], Path]:
    """Writes a folder of two labels with so many photographs each."""

    def write(each: int) -> Path:
        folder = tmp_path / "photographs"
        for label_number, label in enumerate(("rose", "daisy")):
            (folder / label).mkdir(parents=True)
            for number in range(each):
                data = encoded(gradient(1000 * label_number + number), "JPEG")
                (folder / label / f"{number}.jpg").write_bytes(data)
        return folder

    return write


class Ingested:
    """What a run of the step left behind."""

    def __init__(self, folder: Path) -> None:
        self.examples = read_examples(folder / "examples")
        self.records: dict[str, list[dict[str, Any]]] = {
            split: [
                parsed_example(record)
                for shard in self.examples.shards(split)
                for record in read_records(shard)
            ]
            for split in SPLITS
        }
        lines = (folder / "rejected" / "rejected.jsonl").read_text().splitlines()
        self.rejected = [json.loads(line) for line in lines]
        self.statistics = json.loads((folder / "statistics" / "statistics.json").read_text())

    @property
    def all_records(self) -> list[dict[str, Any]]:
        return [record for records in self.records.values() for record in records]

    @property
    def reasons(self) -> dict[str, str]:
        """Reason by image, of the rejected rows that name one."""
        return {str(r["row"].get("image", r["row"])): r["reason"] for r in self.rejected}


def ingest_into(out: Path, data: str | Path, **settings: Any) -> Ingested:
    """Runs the step with settings given as a mapping."""
    ingest(
        str(data),
        IngestSettings.model_validate(settings),
        examples=out / "examples",
        rejected=out / "rejected",
        statistics=out / "statistics",
    )
    return Ingested(out)


@pytest.fixture
def run_ingest(tmp_path: Path) -> Callable[..., Ingested]:
    """Runs the step into a folder of the test's own."""

    def run(data: str | Path, name: str = "out", **settings: Any) -> Ingested:
        return ingest_into(tmp_path / name, data, **settings)

    return run

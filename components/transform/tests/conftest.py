"""Examples of noise, and the step run on them."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from components.transform.settings import TransformSettings
from components.transform.transform import transform
from darkroom.artifacts.manifest import write_manifest
from darkroom.artifacts.transformed import read_transformed_examples
from darkroom.records.example_proto import parsed_example, serialized_example
from darkroom.records.tfrecord import read_records, write_record

COUNTS = {"train": 70, "valid": 5, "test": 3}
LABELS = ["cat", "dog", "élan"]


def pictures(split: str) -> list[tuple[str, npt.NDArray[np.uint8]]]:
    """Label and pixels; the splits differ in brightness, so that a leak shows in the moments."""
    generator = np.random.default_rng(len(split))
    top = {"train": 100, "valid": 200, "test": 255}[split]
    return [
        (LABELS[number % 3], generator.integers(0, top, (12, 20, 3)).astype(np.uint8))
        for number in range(COUNTS[split])
    ]


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    for split in COUNTS:
        with (folder / f"{split}-00000-of-00001.tfrecord").open("wb") as file:
            for label, pixels in pictures(split):
                record: dict[str, Any] = {
                    "image_bytes": png(pixels),
                    "label": label,
                    "image_id": "x",
                    "camera": 3,
                }
                write_record(file, serialized_example(record))
    content = {"labels": LABELS, "counts": COUNTS, "columns": {"camera": "int"}}
    write_manifest(folder, "examples", content)
    return folder


Transformed = tuple[Path, Path]


@pytest.fixture(scope="session")
def run_transform(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    def run(**settings: Any) -> Transformed:
        out = tmp_path_factory.mktemp("out")
        graph, records = out / "graph", out / "records"
        transform(
            examples,
            TransformSettings.model_validate(settings),
            transform_graph=graph,
            transformed_examples=records,
        )
        return graph, records

    return run


def stored(records: Path, split: str) -> list[dict[str, Any]]:
    shards = read_transformed_examples(records).shards(split)
    return [parsed_example(record) for shard in shards for record in read_records(shard)]


def write_examples(folder: Path, train: list[list[bytes]]) -> Path:
    """An examples artifact with a training shard for every list of images."""
    folder.mkdir()
    for number, images in enumerate(train):
        with (folder / f"train-{number:05d}-of-{len(train):05d}.tfrecord").open("wb") as file:
            for place, image in enumerate(images):
                path = f"photo-{number}-{place}.jpg"
                record: dict[str, Any] = {"image_bytes": image, "label": "cat", "image_path": path}
                write_record(file, serialized_example(record))
    counts = {"train": sum(map(len, train)), "valid": 0, "test": 0}
    write_manifest(folder, "examples", {"labels": LABELS, "counts": counts, "columns": {}})
    return folder

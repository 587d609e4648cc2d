"""Photographs that a model labelled are passed over, and counted in the report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.evaluate.predictions.embeddings import Embedder
from components.evaluate.report.facts import facts_of
from components.evaluate.settings import EvaluateSettings
from darkroom.artifacts.examples import read_examples
from darkroom.artifacts.manifest import write_manifest
from darkroom.artifacts.model import Model
from darkroom.records.example_proto import FeatureValue, serialized_example
from darkroom.records.tfrecord import write_record


class Lengths(Embedder):
    """Instead of a network's: how long an image is."""

    def __init__(self) -> None:
        pass

    def embeddings(self, images: Sequence[bytes]) -> Any:
        return np.array([[len(image)] for image in images], np.float32)


def write_examples(folder: Path) -> Path:
    """Ten training examples, of which every third has a label that a model gave."""
    with (folder / "train-00000-of-00001.tfrecord").open("wb") as file:
        for number in range(10):
            features: dict[str, FeatureValue] = {
                "image_bytes": b"x" * (number + 1),
                "image_id": str(number),
                "image_path": f"{number}.jpg",
                "label": "rose",
            }
            if number % 3 == 0:
                features["pseudo_labelled"] = 1
            write_record(file, serialized_example(features))
    counts = {"train": 10, "valid": 0, "test": 0}
    facts = {"labels": ["daisy", "rose"], "counts": counts, "columns": {}, "pseudo_labelled": 4}
    write_manifest(folder, "examples", facts)
    return folder


def test_they_are_passed_over(tmp_path: Path) -> None:
    examples = read_examples(write_examples(tmp_path))
    known, vectors = Lengths().records(examples.shards("train"), 10, 100)
    assert [photograph.image_id for photograph in known] == ["1", "2", "4", "5", "7", "8"]
    assert vectors[:, 0].tolist() == [2, 3, 5, 6, 8, 9]


def test_the_report_says_how_many_there_are(tmp_path: Path) -> None:
    examples = read_examples(write_examples(tmp_path))
    model = Model(tmp_path, examples.labels, None, None, {})
    facts = facts_of(examples, model, EvaluateSettings(), None)["Photographs"]
    assert ("of train, with labels that a model gave", "4") in facts

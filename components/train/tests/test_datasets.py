"""Datasets of transformed examples: orders and crops, random and reproducible."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from components.artifacts.example_proto import serialized_example
from components.artifacts.manifest import write_manifest
from components.artifacts.tfrecord import write_record
from components.artifacts.transformed import (
    TransformedExamples,
    TransformGraph,
    read_transform_graph,
    read_transformed_examples,
)
from components.train.datasets import build_dataset
from components.train.tests.conftest import SIZE, Transformed

STORED = (SIZE + 4, SIZE + 3)
COUNT = 40


@pytest.fixture(scope="module")
def graph(transformed: Transformed) -> TransformGraph:
    return read_transform_graph(transformed.graph)


@pytest.fixture(scope="module")
def with_margin(tmp_path_factory: pytest.TempPathFactory) -> TransformedExamples:
    """Training images whose every pixel holds its image's number, its row and its column."""
    folder = tmp_path_factory.mktemp("margin")
    with (folder / "train-00000-of-00001.tfrecord").open("wb") as file:
        for number in range(COUNT):
            image = np.empty((*STORED, 3), np.uint8)
            image[..., 0] = number
            image[..., 1] = np.arange(STORED[0])[:, np.newaxis]
            image[..., 2] = np.arange(STORED[1])
            write_record(
                file, serialized_example({"image": image.tobytes(), "label_index": number % 3})
            )
    content = {"counts": {"train": COUNT}, "stored_size": {"train": STORED}}
    write_manifest(folder, "transformed_examples", content)
    return read_transformed_examples(folder)


Corners = npt.NDArray[Any]


def epoch(dataset: Any) -> Corners:
    """Number, top and left of every image of an epoch, after a look that each is one crop."""
    images = np.concatenate([images.numpy() for images, _ in dataset])
    assert images.shape == (COUNT, SIZE, SIZE, 3)
    corners = images[:, 0, 0]
    rows, columns = np.arange(SIZE)[:, np.newaxis], np.arange(SIZE)
    for image, (number, top, left) in zip(images, corners, strict=True):
        assert (image[..., 0] == number).all()
        assert (image[..., 1] == top + rows).all()
        assert (image[..., 2] == left + columns).all()
    assert sorted(corners[:, 0]) == list(range(COUNT))
    return corners[np.argsort(corners[:, 0])]


def test_training_crops_at_random_anew_every_epoch(
    with_margin: TransformedExamples, graph: TransformGraph
) -> None:
    dataset = build_dataset(with_margin, graph, "train", 16, shuffle_seed=1)
    first, second = epoch(dataset), epoch(dataset)
    assert set(first[:, 1]) == set(range(5))
    assert set(first[:, 2]) == set(range(4))
    assert (first[:, 1:] != second[:, 1:]).any(1).mean() > 0.7
    again = build_dataset(with_margin, graph, "train", 16, shuffle_seed=1)
    assert np.array_equal(epoch(again), first)
    assert np.array_equal(epoch(again), second)
    other = epoch(build_dataset(with_margin, graph, "train", 16, shuffle_seed=2))
    assert not np.array_equal(other, first)


def test_without_a_seed_the_centre_is_taken(
    with_margin: TransformedExamples, graph: TransformGraph
) -> None:
    corners = epoch(build_dataset(with_margin, graph, "train", 16))
    assert (corners[:, 1:] == (2, 1)).all()


def test_images_of_the_graphs_size_pass_untouched(
    transformed: Transformed, graph: TransformGraph
) -> None:
    source = read_transformed_examples(transformed.records)
    images = np.concatenate([i.numpy() for i, _ in build_dataset(source, graph, "valid", 7)])
    assert np.array_equal(images, transformed.pixels["valid"])

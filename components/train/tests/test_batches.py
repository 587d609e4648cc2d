"""Streams of transformed examples: order and crops depend on seed and step only."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from components.train.data.batches import (
    WorkerShard,
    count_labels,
    epoch_steps,
    evaluation_stream,
    training_stream,
)
from components.train.tests.conftest import SIZE, Transformed
from darkroom.artifacts.manifest import write_manifest
from darkroom.artifacts.transformed import (
    TransformedExamples,
    TransformGraph,
    read_transform_graph,
    read_transformed_examples,
)
from darkroom.records.example_proto import serialized_example
from darkroom.records.tfrecord import write_record

pytestmark = pytest.mark.slow

STORED = (SIZE + 4, SIZE + 3)
COUNT = 40


@pytest.fixture(scope="module")
def graph(transformed: Transformed) -> TransformGraph:
    return read_transform_graph(transformed.graph)


@pytest.fixture(scope="module")
def with_margin(tmp_path_factory: pytest.TempPathFactory) -> TransformedExamples:
    """Training images in which every pixel holds the image's number, its row and its column."""
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


Rows = npt.NDArray[Any]


def taken(stream: Any, steps: int) -> list[Rows]:
    """Number, top and left of every image of some batches; checks that each is one crop."""
    batches = []
    rows, columns = np.arange(SIZE)[:, np.newaxis], np.arange(SIZE)
    for images, _ in stream.take(steps):
        corners = images.numpy()[:, 0, 0]
        for image, (number, top, left) in zip(images.numpy(), corners, strict=True):
            assert image.shape == (SIZE, SIZE, 3)
            assert (image[..., 0] == number).all()
            assert (image[..., 1] == top + rows).all()
            assert (image[..., 2] == left + columns).all()
        batches.append(corners)
    return batches


def test_every_pass_gives_all_in_an_order_and_with_crops_of_its_own(
    with_margin: TransformedExamples, graph: TransformGraph
) -> None:
    """A batch of 16 does not divide 40: five batches are two passes."""
    corners = np.concatenate(taken(training_stream(with_margin, graph, WorkerShard(16), 1), 5))
    first, second = corners[:COUNT], corners[COUNT:]
    for one in (first, second):
        assert sorted(one[:, 0]) == list(range(COUNT))
        assert set(one[:, 1]) == set(range(5))
        assert set(one[:, 2]) == set(range(4))
    assert (first[:, 0] != second[:, 0]).mean() > 0.7
    in_order = [one[np.argsort(one[:, 0])] for one in (first, second)]
    assert (in_order[0][:, 1:] != in_order[1][:, 1:]).any(1).mean() > 0.7


def test_the_stream_follows_from_seed_and_step(
    with_margin: TransformedExamples, graph: TransformGraph
) -> None:
    import keras

    keras.utils.set_random_seed(0)
    whole = taken(training_stream(with_margin, graph, WorkerShard(16), 1), 8)
    keras.utils.set_random_seed(5)
    for step in (1, 2, 5, 7):
        rest = taken(
            training_stream(with_margin, graph, WorkerShard(16), 1, first_step=step), 8 - step
        )
        assert np.array_equal(rest, whole[step:])
    other = taken(training_stream(with_margin, graph, WorkerShard(16), 2), 8)
    assert not np.array_equal(np.array(other)[:, :, 0], np.array(whole)[:, :, 0])
    assert not np.array_equal(np.array(other)[:, :, 1:], np.array(whole)[:, :, 1:])


@pytest.mark.parametrize(("workers", "replicas"), [(2, 2), (2, 4), (3, 3)])
def test_workers_share_the_global_batches_of_one(
    with_margin: TransformedExamples, graph: TransformGraph, workers: int, replicas: int
) -> None:
    """Including their crops; a worker's devices take its batches in turn."""
    whole = taken(training_stream(with_margin, graph, WorkerShard(12), 1, first_step=2), 6)
    shares = [WorkerShard(12, workers, worker, replicas) for worker in range(workers)]
    each = replicas // workers
    parts = [
        taken(training_stream(with_margin, graph, share, 1, first_step=2), 6 * each)
        for share in shares
    ]
    for step, batch in enumerate(whole):
        found = np.concatenate([p for part in parts for p in part[step * each : (step + 1) * each]])
        assert sorted(map(tuple, found)) == sorted(map(tuple, batch))


def test_an_evaluation_sees_every_image_once_and_its_centre(
    with_margin: TransformedExamples, graph: TransformGraph
) -> None:
    for workers in (1, 2, 3):
        seen, batches = [], set()
        for worker in range(workers):
            share = WorkerShard(12, workers, worker, workers)
            stream = list(evaluation_stream(with_margin, graph, "train", share))
            batches.add(len(stream))
            for images, labels, weights in stream:
                assert labels.shape == (12 // workers, 3)
                assert (images.numpy()[:, 0, 0, 1:] == (2, 1)).all()
                seen += images.numpy()[weights.numpy() > 0, 0, 0, 0].tolist()
        assert batches == {4}
        assert sorted(seen) == list(range(COUNT))


def test_an_epoch_is_a_pass_to_the_nearest_batch(with_margin: TransformedExamples) -> None:
    assert [epoch_steps(with_margin, size) for size in (1, 15, 17, 100)] == [40, 3, 2, 1]


def test_labels_are_counted(with_margin: TransformedExamples, graph: TransformGraph) -> None:
    assert count_labels(with_margin, graph).tolist() == [14, 13, 13]


def test_images_of_the_graphs_size_pass_untouched(
    transformed: Transformed, graph: TransformGraph
) -> None:
    source = read_transformed_examples(transformed.records)
    stream = evaluation_stream(source, graph, "valid", WorkerShard(6))
    images = np.concatenate([images.numpy() for images, _, _ in stream])
    assert np.array_equal(images, transformed.pixels["valid"])

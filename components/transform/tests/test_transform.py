"""The transform graph: fitted on the training split alone, and the only preprocessing there is."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from components.artifacts import transformed
from components.artifacts.errors import StepError
from components.artifacts.example_proto import parsed_example, serialized_example
from components.artifacts.examples import read_examples
from components.artifacts.manifest import write_manifest
from components.artifacts.tfrecord import read_records, write_record
from components.artifacts.transformed import read_transform_graph, read_transformed_examples
from components.transform.settings import TransformSettings
from components.transform.transform import transform

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


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    for split in COUNTS:
        with (folder / f"{split}-00000-of-00001.tfrecord").open("wb") as file:
            for label, pixels in pictures(split):
                record = {"image_bytes": png(pixels), "label": label, "image_id": "x", "camera": 3}
                write_record(file, serialized_example(record))
    content = {"labels": LABELS, "counts": COUNTS, "columns": {"camera": "int"}}
    write_manifest(folder, "examples", content)
    return folder


Transformed = tuple[Path, Path]


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def unresized(run_transform: Callable[..., Transformed]) -> Transformed:
    return run_transform(image_size=[12, 20])


def stored(records: Path, split: str) -> list[dict[str, Any]]:
    shards = read_transformed_examples(records).shards(split)
    return [parsed_example(record) for shard in shards for record in read_records(shard)]


def test_records_hold_the_pixels_and_the_pinned_label_index(unresized: Transformed) -> None:
    for split in COUNTS:
        expected = {(pixels.tobytes(), LABELS.index(label)) for label, pixels in pictures(split)}
        records = stored(unresized[1], split)
        assert len(records) == COUNTS[split]
        assert {(r["image"][0], r["label_index"][0]) for r in records} == expected


def test_moments_are_those_of_the_training_split_alone(unresized: Transformed) -> None:
    graph = read_transform_graph(unresized[0])
    train = np.stack([pixels for _, pixels in pictures("train")]).astype(np.float64)
    assert graph.pixel_mean == pytest.approx(train.mean((0, 1, 2)), rel=1e-5)
    assert graph.pixel_variance == pytest.approx(train.var((0, 1, 2)), rel=1e-4)
    assert graph.labels == tuple(LABELS)


def call_graph(folder: Path, images: list[bytes], labels: list[str]) -> Any:
    import tensorflow as tf

    graph = read_transform_graph(folder)
    function = tf.saved_model.load(str(graph.function_folder)).transform_fn
    outputs = function({"image_bytes": tf.constant(images), "label": tf.constant(labels)})
    pixels = tf.io.decode_raw(outputs[transformed.IMAGE], tf.uint8)
    return tf.reshape(pixels, [-1, *graph.image_size, 3]).numpy(), outputs["label_index"].numpy()


def test_the_graph_alone_gives_what_the_records_hold(unresized: Transformed) -> None:
    images = [png(pixels) for _, pixels in pictures("test")]
    pixels, indices = call_graph(unresized[0], images, ["dog", "", "wolf"])
    assert np.array_equal(pixels, np.stack([p for _, p in pictures("test")]))
    assert indices.tolist() == [1, -1, -1]


@pytest.mark.parametrize("policy", ["stretch", "pad", "crop"])
def test_resize_policies(policy: str) -> None:
    """A picture whose left half is white and right half grey, twice as wide as high."""
    import tensorflow as tf

    from components.transform.preprocessing import decode_and_resize

    picture = np.full((20, 40, 3), 255, np.uint8)
    picture[:, 20:] = 128
    settings = TransformSettings(image_size=10, resize=policy)  # type: ignore[arg-type]
    resized = decode_and_resize(tf.constant(png(picture)), settings).numpy()
    assert resized.shape == (10, 10, 3)
    assert resized.dtype == np.uint8
    row, column = resized[5, :, 0], resized[:, 2, 0]
    assert (row[0], row[-1]) == (255, 128)
    assert (column[0], column[5]) == ((0, 255) if policy == "pad" else (255, 255))
    # Stretched or cropped, the edge between the halves stays in the middle.
    assert row[4] > 200 > row[6]


def test_a_photograph_is_reduced_as_pillow_reduces_it(flowers: Path) -> None:
    import tensorflow as tf

    from components.transform.preprocessing import decode_and_resize

    file = min(flowers.glob("*/*.jpg"))
    encoded = tf.constant(file.read_bytes())
    resized = decode_and_resize(encoded, TransformSettings(image_size=96)).numpy()
    with Image.open(file) as image:
        expected = np.asarray(image.resize((96, 96), Image.Resampling.BILINEAR))
    assert np.abs(resized.astype(int) - expected.astype(int)).mean() < 2


def test_a_missing_artifact_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    outputs = {
        name: tmp_path / "out" / name for name in ("transform_graph", "transformed_examples")
    }
    with pytest.raises(StepError, match=r"examples artifact .*nowhere does not exist"):
        transform(tmp_path / "nowhere", TransformSettings(), **outputs)
    assert not (tmp_path / "out").exists()


def test_examples_that_are_not_whole_are_refused(examples: Path, tmp_path: Path) -> None:
    (tmp_path / "train-00000-of-00001.tfrecord").write_bytes(b"")
    with pytest.raises(StepError, match=r"no manifest.json \(it is not whole\)"):
        read_examples(tmp_path)


def test_image_size_is_a_number_or_height_and_width() -> None:
    assert TransformSettings(image_size=96).size == (96, 96)
    assert TransformSettings.model_validate({"image_size": [64, 128]}).size == (64, 128)
    for wrong in (0, [64], 10_000, "large"):
        with pytest.raises(ValueError, match="image_size"):
            TransformSettings.model_validate({"image_size": wrong})

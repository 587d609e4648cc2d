"""The transform graph: fitted on the training split alone, and the only preprocessing there is."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.transform.settings import TransformSettings
from components.transform.tests.conftest import (
    COUNTS,
    LABELS,
    Transformed,
    pictures,
    png,
    stored,
    write_examples,
)
from components.transform.transform import transform
from darkroom.artifacts import transformed
from darkroom.artifacts.examples import read_examples
from darkroom.artifacts.manifest import write_manifest
from darkroom.artifacts.transformed import read_transform_graph, read_transformed_examples
from darkroom.errors import StepError
from darkroom.records.example_proto import serialized_example
from darkroom.records.shards import list_shards
from darkroom.records.tfrecord import write_record

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def unresized(run_transform: Callable[..., Transformed]) -> Transformed:
    return run_transform(image_size=[12, 20])


def test_records_hold_the_pixels_and_the_pinned_label_index(unresized: Transformed) -> None:
    for split in COUNTS:
        expected = {(pixels.tobytes(), LABELS.index(label)) for label, pixels in pictures(split)}
        records = stored(unresized[1], split)
        assert len(records) == COUNTS[split]
        assert {(r["image"][0], r["label_index"][0]) for r in records} == expected


def test_it_is_stated_how_many_labels_a_model_gave(examples: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(examples, tmp_path / "examples")
    facts = json.loads((copied / "manifest.json").read_text())
    (copied / "manifest.json").write_text(json.dumps(facts | {"pseudo_labelled": 7}))
    outputs = {"transform_graph": tmp_path / "graph", "transformed_examples": tmp_path / "records"}
    transform(copied, TransformSettings(image_size=12), **outputs)
    assert read_transformed_examples(tmp_path / "records").pseudo_labelled == 7


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
    from components.transform.preprocessing import resize

    picture = np.full((20, 40, 3), 255, np.uint8)
    picture[:, 20:] = 128
    settings = TransformSettings(image_size=10, resize=policy)
    resized = resize(picture, settings).numpy()
    assert resized.shape == (10, 10, 3)
    assert resized.dtype == np.uint8
    row, column = resized[5, :, 0], resized[:, 2, 0]
    assert (row[0], row[-1]) == (255, 128)
    assert (column[0], column[5]) == ((0, 255) if policy == "pad" else (255, 255))
    # Stretched or cropped, the edge between the halves stays in the middle.
    assert row[4] > 200 > row[6]


def test_a_photograph_is_reduced_as_pillow_reduces_it(flowers: Path) -> None:
    import tensorflow as tf

    from components.transform.decoding import decode
    from components.transform.preprocessing import resize

    file = min(flowers.glob("*/*.jpg"))
    encoded = tf.constant(file.read_bytes())
    resized = resize(decode(encoded), TransformSettings(image_size=96)).numpy()
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
    with pytest.raises(StepError, match=r"no manifest.json \(it is not complete\)"):
        read_examples(tmp_path)


def test_image_size_is_a_number_or_height_and_width() -> None:
    assert TransformSettings(image_size=96).size == (96, 96)
    assert TransformSettings.model_validate({"image_size": [64, 128]}).size == (64, 128)
    for wrong in (0, [64], 10_000, "large"):
        with pytest.raises(ValueError, match="image_size"):
            TransformSettings.model_validate({"image_size": wrong})


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "area", "lanczos3"])
def test_interpolations_are_tensorflows(interpolation: str) -> None:
    import tensorflow as tf

    from components.transform.preprocessing import resize

    picture = np.random.default_rng(1).integers(0, 256, (20, 40, 3)).astype(np.uint8)
    settings = TransformSettings.model_validate({"image_size": 8, "interpolation": interpolation})
    resized = resize(picture, settings).numpy()
    expected = tf.image.resize(picture, [8, 8], method=interpolation, antialias=True)
    assert np.abs(resized - np.clip(expected, 0, 255)).max() <= 0.5


def test_the_crop_margin_keeps_its_surroundings(run_transform: Callable[..., Transformed]) -> None:
    """Training records are larger; what the graph gives of the same images is their centre."""
    graph, records = run_transform(image_size=[8, 12], crop_margin=0.5)
    source = read_transformed_examples(records)
    assert source.stored_size == {"train": (12, 18), "valid": (8, 12), "test": (8, 12)}
    stored_train = np.stack(
        [
            np.frombuffer(r["image"][0], np.uint8).reshape(12, 18, 3)
            for r in stored(records, "train")
        ]
    )
    images = [png(pixels) for _, pixels in pictures("train")]
    pixels, _ = call_graph(graph, images, [""] * len(images))
    assert np.array_equal(stored_train[:, 2:10, 3:15], pixels)
    moments = read_transform_graph(graph)
    assert moments.pixel_mean == pytest.approx(pixels.mean((0, 1, 2)), rel=1e-5)
    assert moments.pixel_variance == pytest.approx(pixels.var((0, 1, 2)), rel=1e-5)


def test_moments_hold_for_pixels_that_hardly_differ() -> None:
    """A mean of squares less the square of the mean would have no digit left in float32."""
    from components.transform.moments import image_moments

    images = np.full((50, 300, 7, 3), 254, np.uint8)
    images[::2, 0, 0] = 255
    mean, variance = image_moments(images)
    assert mean == pytest.approx(images.mean((1, 2)), rel=1e-12)
    assert variance == pytest.approx(images.var((1, 2), dtype=np.float64), rel=1e-6, abs=1e-9)


def run_into(examples: Path, out: Path) -> Transformed:
    outputs = out / "graph", out / "records"
    settings = TransformSettings(image_size=8)
    transform(examples, settings, transform_graph=outputs[0], transformed_examples=outputs[1])
    return outputs


def test_a_photograph_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    images = [png(pixels) for _, pixels in pictures("valid")]
    examples = write_examples(tmp_path / "examples", [images, [*images, b"no picture"]])
    with pytest.raises(StepError, match=r"^cannot decode photo-1-5.jpg; ingest again \(.+\)$"):
        run_into(examples, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_shard_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    images = [png(pixels) for _, pixels in pictures("valid")]
    examples = write_examples(tmp_path / "examples", [images])
    (shard,) = read_examples(examples).shards("train")
    Path(shard).write_bytes(Path(shard).read_bytes()[:-7])
    with pytest.raises(StepError, match=r"ingest again"):
        run_into(examples, tmp_path / "out")


def test_an_empty_training_split_is_refused(tmp_path: Path) -> None:
    examples = write_examples(tmp_path / "examples", [[]])
    with pytest.raises(StepError, match=r"the train split of .*examples is empty"):
        run_into(examples, tmp_path / "out")


def test_tasks_share_out_the_shards_and_mix_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same shards give the same tasks, each with shards from all over the split."""
    from components.transform import pixels

    images = [png(picture) for _, picture in pictures("train")]
    source = read_examples(write_examples(tmp_path / "examples", [images[:10]] * 6))
    monkeypatch.setattr(pixels, "TASK_BYTES", list_shards(source.records, "train")[0].size * 2)
    tasks = pixels.plan_tasks(source)
    assert tasks == pixels.plan_tasks(source)
    train = [task for task in tasks if task.split == "train"]
    assert [task.name for task in train] == [
        f"train-{number:05d}-of-00003.tfrecord" for number in range(3)
    ]
    numbers = [[Path(path).name[6:11] for path in task.shards] for task in train]
    assert numbers == [["00000", "00003"], ["00001", "00004"], ["00002", "00005"]]
    assert [task.name for task in tasks if task.split != "train"] == [
        "valid-00000-of-00001.tfrecord",
        "test-00000-of-00001.tfrecord",
    ]


def test_a_task_done_again_writes_the_same_bytes(examples: Path, tmp_path: Path) -> None:
    from components.transform.pixels import WriteRecords, plan_tasks

    source = read_examples(examples)
    (task, *_) = plan_tasks(source)
    write = WriteRecords(str(tmp_path), TransformSettings(image_size=8), source.labels)
    written = []
    for _ in range(2):
        (done,) = write.process(task)
        written.append(((tmp_path / task.name).read_bytes(), done.mean.tolist()))
    assert written[0] == written[1]
    assert done.count == len(done.mean) == COUNTS["train"]


@pytest.mark.parametrize(("lost", "left"), [(1, 5), (2, 0)])
def test_a_shard_that_is_lost_is_missed(tmp_path: Path, lost: int, left: int) -> None:
    images = [png(pixels) for _, pixels in pictures("valid")]
    examples = write_examples(tmp_path / "examples", [images, images])
    for shard in read_examples(examples).shards("train")[:lost]:
        Path(shard).unlink()
    message = (
        rf"^the train split of .*examples holds {left} records, .* manifest states 10 .*again$"
    )
    with pytest.raises(StepError, match=message):
        run_into(examples, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_shard_too_many_is_refused(tmp_path: Path) -> None:
    """Such as one left of another ingestion into the same folder."""
    images = [png(pixels) for _, pixels in pictures("valid")]
    examples = write_examples(tmp_path / "examples", [images])
    (shard,) = read_examples(examples).shards("train")
    (examples / "test-00000-of-00001.tfrecord").write_bytes(Path(shard).read_bytes())
    with pytest.raises(StepError, match=r"the test split .* holds 5 records, .* states 0 "):
        run_into(examples, tmp_path / "out")


def test_a_photograph_of_no_known_label_is_refused(examples: Path, tmp_path: Path) -> None:
    shutil.copytree(examples, tmp_path / "examples")
    with (tmp_path / "examples" / "train-00000-of-00001.tfrecord").open("ab") as file:
        image = png(pictures("valid")[0][1])
        both: dict[str, Any] = {"image_bytes": image, "label": "cat dog", "image_id": "x"}
        write_record(file, serialized_example(both))
    with pytest.raises(StepError, match="none of the label list; ingest again"):
        run_into(tmp_path / "examples", tmp_path / "out")


def write_several(folder: Path, lists: list[list[str]]) -> Path:
    """Multi-label examples: a photograph for every list of labels."""
    folder.mkdir()
    with (folder / "train-00000-of-00001.tfrecord").open("wb") as file:
        for names in lists:
            image = png(pictures("valid")[0][1])
            record: dict[str, Any] = {"image_bytes": image, "label": " ".join(names)}
            write_record(file, serialized_example(record | {"labels": names}))
    counts = {"train": len(lists), "valid": 0, "test": 0}
    content = {"labels": LABELS, "multi_label": True, "counts": counts, "columns": {}}
    write_manifest(folder, "examples", content)
    return folder


def test_records_hold_the_index_of_every_label(tmp_path: Path) -> None:
    lists = [["cat", "élan"], ["dog"], ["cat", "dog", "élan"]]
    graph, records = run_into(write_several(tmp_path / "examples", lists), tmp_path / "out")
    indices = [record["label_index"] for record in stored(records, "train")]
    assert indices == [[0, 2], [1], [0, 1, 2]]
    assert read_transform_graph(graph).multi_label
    assert read_transformed_examples(records).manifest["multi_label"] is True


@pytest.mark.parametrize("names", [["cat", "wolf"], []])
def test_a_list_with_a_label_that_is_none_is_refused(tmp_path: Path, names: list[str]) -> None:
    examples = write_several(tmp_path / "examples", [["cat"], names])
    with pytest.raises(StepError, match="none of the label list; ingest again"):
        run_into(examples, tmp_path / "out")

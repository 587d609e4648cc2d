"""The transform graph is the only preprocessing: one setting changes every door at once."""

import ast
import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from components.serve.versions.loaded_model import LoadedModel, load_model
from components.train.settings import TrainSettings
from components.transform.settings import TransformSettings
from darkroom.artifacts.manifest import write_manifest
from darkroom.artifacts.model_repository import Version
from darkroom.artifacts.predictions import prediction_schema, probability_array
from darkroom.artifacts.transformed import read_transform_graph, read_transformed_examples
from darkroom.records.example_proto import parsed_example, serialized_example
from darkroom.records.tfrecord import read_records, write_record
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

LABELS = ["blue", "green", "red"]
COUNT = 6
SPLITS = ("train", "valid", "test")

SETTINGS: dict[str, dict[str, Any]] = {
    "as they come": {},
    "image_size": {"image_size": [12, 20]},
    "pad": {"resize": "pad"},
    "interpolation": {"interpolation": "lanczos3"},
    "crop_margin": {"crop_margin": 0.25},
}

Probabilities = npt.NDArray[Any]
TriggerApp = dict[str, Probabilities]


@pytest.fixture(scope="module")
def records() -> list[bytes]:
    """Examples of noise twice as wide as high, as ingest writes them."""
    generator = np.random.default_rng(0)
    examples = []
    for number in range(COUNT):
        buffer = io.BytesIO()
        pixels = generator.integers(0, 256, (24, 48, 3)).astype(np.uint8)
        pixels[:, : 8 * number] //= 3
        Image.fromarray(pixels).save(buffer, "PNG")
        example: dict[str, Any] = {
            "image_bytes": buffer.getvalue(),
            "image_id": f"{number}",
            "image_path": f"{number}.png",
            "label": LABELS[number % 3],
        }
        examples.append(serialized_example(example))
    return examples


@pytest.fixture(scope="module")
def doors(
    records: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[TriggerApp, Path]]:
    """What every door makes of the same photographs, by transform setting."""
    examples = tmp_path_factory.mktemp("examples")
    for split in SPLITS:
        with (examples / f"{split}-00000-of-00001.tfrecord").open("wb") as file:
            for record in records:
                write_record(file, record)
    counts = dict.fromkeys(SPLITS, COUNT)
    write_manifest(examples, "examples", {"labels": LABELS, "counts": counts, "columns": {}})
    answers = {}
    for name, settings in SETTINGS.items():
        out = tmp_path_factory.mktemp("out")
        answers[name] = all_doors(examples, records, {"image_size": 16} | settings, out), out
    return answers


def all_doors(
    examples: Path, records: list[bytes], values: dict[str, Any], out: Path
) -> TriggerApp:
    """Probabilities of one and the same untrained network behind the graph of these settings."""
    import keras

    from components.train.export.saved_model import export
    from components.train.model.network import build_network
    from components.transform.transform import transform

    settings = TransformSettings.model_validate(values)
    transform(
        examples, settings, transform_graph=out / "graph", transformed_examples=out / "pixels"
    )
    graph = read_transform_graph(out / "graph")
    small = TrainSettings.model_validate({"backbone": "small_cnn", "weights": "none"})
    network = build_network(small, graph, "none")
    (out / "model").mkdir()
    export(network, graph, out / "model")
    keras.backend.clear_session()
    images = [parsed_example(record)["image_bytes"][0] for record in records]
    model = load_model(Version(1, str(out / "model")))
    return {
        "training records": from_stored(model, out),
        "evaluation": from_evaluation(out / "model", records),
        "serving": from_server(model, images),
        "batch": from_files(model, images, out),
    }


def stored_pixels(out: Path, split: str) -> npt.NDArray[np.uint8]:
    """A split's pixels, as the trainer reads them."""
    from components.train.data.batches import WorkerShard, evaluation_stream

    graph = read_transform_graph(out / "graph")
    source = read_transformed_examples(out / "pixels")
    dataset = evaluation_stream(source, graph, split, WorkerShard(COUNT))
    return np.concatenate([images.numpy() for images, *_ in dataset])


def from_stored(model: LoadedModel, out: Path) -> Probabilities:
    import tensorflow as tf

    pixels = tf.constant(stored_pixels(out, "train"), tf.float32)
    return np.asarray(model.signature("xai_model")(input_images=pixels)["probabilities"])


def from_evaluation(model: Path, records: list[bytes]) -> Probabilities:
    from components.evaluate.predictions.predict import Predict, ScoredModel

    schema = prediction_schema(len(LABELS), {}, multi_label=False, champion=False)
    scored = ScoredModel(str(model), tuple(LABELS))
    (table,) = Predict(scored, schema, [], multi_label=False, split="test").tables([records])
    return probability_array(table)


def from_server(model: LoadedModel, images: list[bytes]) -> Probabilities:
    from components.serve.calls.batching import Batches
    from components.serve.protocols.json_prediction import predict_json
    from components.serve.settings import ServeSettings

    rows = [{"b64": base64.b64encode(image).decode()} for image in images]
    body = json.dumps({"instances": rows}).encode()
    answer = json.loads(predict_json(model, body, Batches(ServeSettings()), 1024))
    return np.array([row["probabilities"] for row in answer["predictions"]])


def from_files(model: LoadedModel, images: list[bytes], out: Path) -> Probabilities:
    import tensorflow as tf

    files = [out / f"{number}.png" for number in range(len(images))]
    for file, image in zip(files, images, strict=True):
        file.write_bytes(image)
    filenames = tf.constant([str(file) for file in files])
    return np.asarray(model.signature("from_filenames")(filenames=filenames)["probabilities"])


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_door_sees_what_was_trained_on(
    doors: dict[str, tuple[TriggerApp, Path]], setting: str
) -> None:
    answers, _ = doors[setting]
    for door, probabilities in answers.items():
        expected = answers["training records"]
        assert probabilities == pytest.approx(expected, abs=1e-6), door


@pytest.mark.parametrize("setting", [name for name in SETTINGS if SETTINGS[name]])
def test_a_setting_changes_every_door(
    doors: dict[str, tuple[TriggerApp, Path]], setting: str
) -> None:
    before, changed = doors["as they come"][0], doors[setting][0]
    for door in before:
        assert np.abs(before[door] - changed[door]).max() > 1e-4, door


def test_the_crop_margin_is_in_the_training_records_alone(
    doors: dict[str, tuple[TriggerApp, Path]],
) -> None:
    out = doors["crop_margin"][1]
    source = read_transformed_examples(out / "pixels")
    assert source.stored_size == {"train": (20, 20), "valid": (16, 16), "test": (16, 16)}
    for split, size in source.stored_size.items():
        (shard,) = source.shards(split)
        for record in read_records(shard):
            assert len(parsed_example(record)["image"][0]) == size[0] * size[1] * 3
    assert np.array_equal(stored_pixels(out, "train"), stored_pixels(out, "valid"))


_MODULES = ("tf.image.", "keras.ops.image.", "keras.preprocessing.", "keras.utils.load_img")
_FUNCTIONS = {f"decode_{form}" for form in ("image", "jpeg", "and_crop_jpeg", "png", "bmp", "gif")}
_LAYERS = {"Resizing", "CenterCrop", "RandomCrop", "Rescaling"}


def image_calls(source: str) -> Iterator[str]:
    """Names of TensorFlow and Keras that turn a file or an array into other pixels."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            library, _, _ = name.partition(".")
            _, _, attribute = name.rpartition(".")
            one_of = library in ("tf", "keras") and attribute in _FUNCTIONS | _LAYERS
            if one_of or name.startswith(_MODULES):
                yield name
        elif isinstance(node, ast.ImportFrom) and node.module in (
            "tensorflow.image",
            "keras.utils",
        ):
            yield node.module


AUGMENTATION = ROOT / "components" / "train" / "augmentation"
"""Changes photographs too, but at random, in training alone: no other door must do the same."""


def test_no_other_module_changes_images() -> None:
    found = {}
    for folder in ("components", "pipeline"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            names = sorted(set(image_calls(path.read_text(encoding="utf-8"))))
            elsewhere = "tests" not in path.parts and AUGMENTATION not in path.parents
            if names and elsewhere:
                found[path.relative_to(ROOT).as_posix()] = names
    modules = ["decoding.py", "preprocessing.py"]
    assert list(found) == [f"components/transform/{name}" for name in modules], found
    assert "tf.image.resize" in found["components/transform/preprocessing.py"]

"""The further forms: written, run by their own runtimes, and equal to the SavedModel."""

import dataclasses
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.train.export import onnx, parity, tflite
from components.train.export.parity import (
    accuracy,
    check_agreement,
    check_exact,
    compared,
    comparison_of,
)
from components.train.export.runtime import Answers, ask
from components.train.export.tflite import calibration_images
from components.train.export.write import write_exports
from components.train.loop.identity import training_identity
from components.train.settings import TrainSettings
from components.train.tests.conftest import LABELS, Transformed
from components.train.train import train
from darkroom.artifacts.manifest import folder_digest
from darkroom.artifacts.model import read_model
from darkroom.artifacts.transformed import read_transform_graph, read_transformed_examples
from darkroom.errors import SettingsError, StepError
from darkroom.settings import validate_settings

pytestmark = pytest.mark.slow

ALL = ("tflite", "tflite_int8", "tflite_integer", "onnx")
SETTINGS = {
    "backbone": "small_cnn",
    "weights": "none",
    "epochs": 6,
    "batch_size": 16,
    "learning_rate": 0.003,
    "export": ALL,
    # What is exported is built anew, in float32.
    "precision": "mixed_bfloat16",
}


@pytest.fixture(scope="module")
def model(transformed: Transformed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported")
    settings = TrainSettings.model_validate(SETTINGS)
    train(
        transformed.records,
        transformed.graph,
        settings,
        model=out / "model",
        checkpoints=out / "checkpoints",
    )
    return out / "model"


@pytest.fixture(scope="module")
def expected(model: Path, transformed: Transformed) -> Any:
    """The SavedModel's probabilities of the test photographs."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(model))  # held, since its variables live with it
    pixels = tf.cast(transformed.pixels["test"], tf.float32)
    return loaded.signatures["xai_model"](input_images=pixels)["probabilities"].numpy()


def run_tflite(path: Path, pixels: Any) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_path=str(path)).get_signature_runner()
    return np.concatenate([runner(image=image[None])["probabilities"] for image in pixels])


def run_integer(path: Path, pixels: Any) -> Any:
    given = run_tflite(path, pixels)
    assert given.dtype == np.uint8
    return given.astype(np.float32) / 256


def run_onnx(path: Path, pixels: Any) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(None, {"image": pixels})
    return probabilities


@pytest.mark.parametrize(
    ("file", "run", "tolerance"),
    [
        ("model.tflite", run_tflite, 1e-4),
        ("model.onnx", run_onnx, 1e-4),
        ("model_int8.tflite", run_tflite, 0.1),
        ("model_integer.tflite", run_integer, 0.1),
    ],
)
def test_every_form_answers_as_the_saved_model(
    model: Path,
    transformed: Transformed,
    expected: Any,
    file: str,
    run: Callable[[Path, Any], Any],
    tolerance: float,
) -> None:
    answer = run(model / "exports" / file, transformed.pixels["test"])
    assert answer.dtype == np.float32
    assert answer == pytest.approx(expected, abs=tolerance)
    assert (answer.argmax(1) == transformed.indices["test"]).mean() > 0.9


def test_int8_calculates_in_eight_bits(model: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    dtypes = {}
    for file in ("model.tflite", "model_int8.tflite"):
        details = Interpreter(model_path=str(model / "exports" / file)).get_tensor_details()
        dtypes[file] = [detail["dtype"] for detail in details if len(detail["shape"]) == 4]
    assert np.int8 not in dtypes["model.tflite"]
    # All but the pixels and their cast.
    assert dtypes["model_int8.tflite"].count(np.float32) <= 1
    assert dtypes["model_int8.tflite"].count(np.int8) > 4


def test_no_operator_of_the_integer_form_takes_or_gives_floats(model: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    exports = model / "exports"
    assert tflite.float_operators((exports / "model_integer.tflite").read_bytes()) == []
    assert "QUANTIZE" in tflite.float_operators((exports / "model_int8.tflite").read_bytes())
    assert "CONV_2D" in tflite.float_operators((exports / "model.tflite").read_bytes())
    interpreter = Interpreter(model_path=str(exports / "model_integer.tflite"))
    dtypes = {detail["dtype"] for detail in interpreter.get_tensor_details()}
    assert dtypes == {np.uint8, np.int8, np.int32}
    # Pixels go in as they are, probabilities come out in steps of 1/256.
    runner = interpreter.get_signature_runner()
    assert runner.get_input_details()["image"]["quantization"] == (1.0, 0)
    assert runner.get_output_details()["probabilities"]["quantization"] == (1 / 256, 0)


def test_what_was_measured_stands_in_the_artifact(model: Path, transformed: Transformed) -> None:
    document = json.loads((model / "exports.json").read_text())
    rows = {row["form"]: row for row in document["forms"]}
    assert document["images"] == len(transformed.pixels["test"])
    assert list(rows) == ["saved_model", *ALL]
    assert document["split"] == "test"
    assert all(row["milliseconds"] > 0 for row in rows.values())
    assert all(0.9 < row["accuracy"] <= 1 for row in rows.values())
    for form in ALL:
        assert rows[form]["bytes"] == (model / rows[form]["file"]).stat().st_size
        assert rows[form]["agreement"] >= 0.95
    assert rows["saved_model"]["bytes"] > (model / "saved_model.pb").stat().st_size
    assert (model / "exports" / "labels.txt").read_text().split() == list(LABELS)
    assert read_model(model).manifest["digest"] == folder_digest(model)


def export_again(model: Path, transformed: Transformed, network: Any, form: str, to: Path) -> None:
    copy = shutil.copytree(model, to / "model")
    shutil.rmtree(copy / "exports")
    write_exports(
        network,
        read_transformed_examples(transformed.records),
        read_transform_graph(transformed.graph),
        TrainSettings.model_validate(SETTINGS | {"export": [form]}),
        copy,
    )


def test_a_form_with_other_weights_is_caught(
    model: Path, transformed: Transformed, tmp_path: Path
) -> None:
    from components.train.model.network import build_network

    settings = TrainSettings.model_validate(SETTINGS)
    other = build_network(settings, read_transform_graph(transformed.graph), "none")
    message = "^the tflite form gives probabilities that are up to .* off .*: leave tflite out of"
    with pytest.raises(StepError, match=message) as raised:
        export_again(model, transformed, other.embedding, "tflite", tmp_path)
    assert "\n" not in str(raised.value)


def test_a_network_that_a_form_has_no_operation_for_is_refused(
    model: Path, transformed: Transformed, tmp_path: Path
) -> None:
    import keras
    import tensorflow as tf

    pixels = keras.Input((12, 12, 3))
    values = keras.layers.Lambda(lambda p: tf.linalg.svd(p[:, :3, :3, 0], compute_uv=False))
    network = keras.Model(pixels, [values(pixels), values(pixels)])
    message = r"^the network cannot be written as onnx \(.*: leave onnx out of train.export"
    with pytest.raises(StepError, match=message) as raised:
        export_again(model, transformed, network, "onnx", tmp_path)
    assert "\n" not in str(raised.value)


def test_a_real_backbone_in_every_form(tmp_path: Path) -> None:
    """Batch norm is folded, and the head is sharpened so that probabilities are far apart."""
    import keras

    generator = np.random.default_rng(3)
    keras.utils.set_random_seed(3)
    backbone = keras.applications.MobileNetV2(
        (96, 96, 3), alpha=0.35, include_top=False, weights=None
    )
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(generator.normal(0, 0.1, layer.moving_mean.shape))
            layer.moving_variance.assign(generator.uniform(0.05, 0.2, layer.moving_mean.shape))
    pixels = keras.Input((96, 96, 3))
    embedding = keras.layers.GlobalAveragePooling2D()(
        backbone(keras.layers.Rescaling(1 / 127.5, -1)(pixels))
    )
    head = keras.layers.Dense(
        5, "softmax", kernel_initializer=keras.initializers.RandomNormal(stddev=1)
    )
    network = keras.Model(pixels, [embedding, head(embedding)])
    cells = generator.integers(0, 256, (24, 6, 6, 3), np.uint8)
    photographs = cells.repeat(16, axis=1).repeat(16, axis=2)
    reference = Answers(network.predict(photographs, verbose=0)[1], 0.0)
    assert reference.probabilities.std(axis=0).max() > 0.1
    contents = {
        "float.tflite": tflite.float_content(network, (96, 96)),
        "int8.tflite": tflite.int8_content(network, (96, 96), photographs),
        "model.onnx": onnx.onnx_content(network, (96, 96)),
    }
    for name, content in contents.items():
        path = tmp_path / name
        path.write_bytes(content)
        form = "onnx" if name.endswith("onnx") else "tflite"
        row = compared(ask(form, path, photographs), reference)
        if name == "int8.tflite":
            assert row["agreement"] >= 0.8
        else:
            check_exact(name, row)
    assert len(contents["int8.tflite"]) < 0.5 * len(contents["float.tflite"])


def test_a_runtime_that_ends_does_not_take_the_training_along(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(
        StepError, match=r"^the runtime of the onnx form ends with .*INVALID_PROTOBUF"
    ) as raised:
        ask("onnx", path, np.zeros((1, 8, 8, 3), np.uint8))
    assert "\n" not in str(raised.value)


def test_probabilities_that_are_no_numbers_are_caught() -> None:
    reference = Answers(np.array([[0.25, 0.75]], np.float32), 1.0)
    row = compared(Answers(np.full((1, 2), np.nan, np.float32), 1.0), reference)
    with pytest.raises(StepError, match=r"^the onnx form gives probabilities that are up to nan"):
        check_exact("onnx", row)


def test_a_rounded_form_warns_and_does_not_fail(caplog: pytest.LogCaptureFixture) -> None:
    answers = np.tile(np.array([0.4, 0.6], np.float32), (100, 1))
    rounded = answers.copy()
    rounded[:3] = rounded[:3, ::-1]
    with caplog.at_level(logging.WARNING, "darkroom.train"):
        row = compared(Answers(rounded, 1.0), Answers(answers, 1.0))
        check_agreement("tflite_int8", row, 100)
        assert row["agreement"] == pytest.approx(0.97)
        assert not caplog.records
        rounded[3] = rounded[3, ::-1]
        row = compared(Answers(rounded, 1.0), Answers(answers, 1.0))
        check_agreement("tflite_int8", row, 100)
    assert "for 96.0 % of 100 images, less than 97 %" in caplog.text


def test_of_several_labels_all_must_be_right() -> None:
    answers = Answers(np.array([[0.9, 0.6], [0.9, 0.6], [0.1, 0.2]], np.float32), 1.0)
    labels = np.array([[True, True], [True, False], [False, False]])
    assert accuracy(answers, labels, (0.5, 0.5)) == pytest.approx(2 / 3)
    assert accuracy(answers, labels[:, ::-1], (0.5, 0.5)) == pytest.approx(2 / 3)
    assert accuracy(answers, np.eye(2, dtype=bool)[[0, 0, 0]]) == pytest.approx(2 / 3)


def test_forms_are_compared_on_photographs_from_all_over_the_split(
    transformed: Transformed, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = read_transformed_examples(transformed.records)
    graph = read_transform_graph(transformed.graph)
    test = transformed.pixels["test"]
    whole = comparison_of(source, graph, 0)
    assert whole.split == "test"
    assert whole.labels is not None
    assert np.array_equal(whole.images, test)
    assert np.array_equal(whole.labels.argmax(axis=1), transformed.indices["test"])
    monkeypatch.setattr(parity, "COMPARISON_IMAGES", 10)
    assert np.array_equal(comparison_of(source, graph, 0).images, test[:20:2])
    without = dataclasses.replace(source, counts=source.counts | {"test": 0})
    given = comparison_of(without, graph, 0)
    assert given.split == "valid"
    assert np.array_equal(given.images, transformed.pixels["valid"][:20:2])


def test_calibration_is_on_training_photographs(
    transformed: Transformed, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = read_transformed_examples(transformed.records)
    graph = read_transform_graph(transformed.graph)
    stored = {image.tobytes() for image in transformed.pixels["train"]}
    given = calibration_images(source, graph, 0)
    assert {image.tobytes() for image in given} == stored
    monkeypatch.setattr(tflite, "CALIBRATION_IMAGES", 30)
    some = {image.tobytes() for image in calibration_images(source, graph, 0)}
    assert len(some) == 30
    assert some < stored
    first = {image.tobytes() for image in transformed.pixels["train"][:30]}
    assert len(some & first) < 25


def test_a_form_that_there_is_not_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^setting 'train\.export\.0': .*'tflite_int8'"):
        validate_settings(TrainSettings, {"export": ["coreml"]}, "train")


def test_a_training_goes_on_where_only_its_forms_changed(transformed: Transformed) -> None:
    source = read_transformed_examples(transformed.records)
    graph = read_transform_graph(transformed.graph)
    identities = [
        training_identity(source, graph, TrainSettings(export=forms), False) for forms in ((), ALL)
    ]
    assert identities[0] == identities[1]

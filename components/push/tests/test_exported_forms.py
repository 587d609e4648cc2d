"""TensorFlow Lite and ONNX beside a model are held to the evaluation's answers too."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from components.push.push import push
from components.push.settings import PushSettings
from components.push.tests.conftest import Candidate, save_evaluation, save_model
from components.push.validation import check_forms
from darkroom.artifacts.exported import read_exported_forms
from darkroom.artifacts.manifest import folder_digest, write_manifest
from darkroom.artifacts.proof import read_proof
from darkroom.errors import StepError

pytestmark = pytest.mark.slow


def brightness(sharpness: float) -> Any:
    """What `save_model` saves, as a function of pixels."""
    import tensorflow as tf

    def answer(image: Any) -> dict[str, Any]:
        mean = tf.reduce_mean(tf.cast(image, tf.float32), [1, 2, 3]) / 255
        light = tf.sigmoid(sharpness * (mean - 0.5))
        return {"probabilities": tf.stack([1 - light, light], 1)}

    pixels = tf.TensorSpec([1, 4, 4, 3], tf.uint8, name="image")
    return tf.function(answer, input_signature=[pixels])


def save_tflite(path: Path, sharpness: float = 1.0) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.answer = brightness(sharpness)
    function = module.answer.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    path.write_bytes(converter.convert())


def save_onnx(path: Path) -> None:
    import tf2onnx

    function = brightness(1.0).get_concrete_function()
    taken, given = function.inputs[0].name, function.outputs[0].name
    graph = tf2onnx.tf_loader.from_function(function, [taken], [given])
    names = {taken: "image", given: "probabilities"}
    model, _ = tf2onnx.convert.from_graph_def(
        graph, input_names=[taken], output_names=[given], opset=18, tensors_to_rename=names
    )
    path.write_bytes(model.SerializeToString())


def write_forms(model: Path, forms: dict[str, str], difference: float = 0.0) -> None:
    rows: list[dict[str, Any]] = [{"form": "saved_model", "file": "."}]
    for form, file in forms.items():
        rows.append({"form": form, "file": f"exports/{file}", "largest_difference": difference})
    (model / "exports.json").write_text(json.dumps({"images": 100, "forms": rows}))


@pytest.fixture(scope="module")
def version(candidate: Candidate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version with two further forms, and one that answers otherwise, which nobody names."""
    folder = tmp_path_factory.mktemp("exported")
    model, evaluation = folder / "model", folder / "evaluation"
    save_model(model)
    (model / "exports").mkdir()
    save_tflite(model / "exports" / "model.tflite")
    save_tflite(model / "exports" / "other.tflite", sharpness=1.02)
    save_onnx(model / "exports" / "model.onnx")
    write_forms(model, {"tflite": "model.tflite", "onnx": "model.onnx"})
    manifest = json.loads((model / "manifest.json").read_text())
    write_manifest(model, "model", manifest | {"digest": folder_digest(model)})
    save_evaluation(evaluation, model, candidate.examples)
    settings = PushSettings(destination=str(folder / "served"), try_server=False)
    inputs = Candidate(candidate.examples, model, evaluation).inputs
    return Path(push(*inputs, settings, pushed=folder / "pushed"))


def test_forms_that_give_the_answers(version: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert [form.name for form in read_exported_forms(version)] == ["tflite", "onnx"]
    with caplog.at_level("INFO"):
        check_forms(version, read_proof(version))
    assert [message.partition(", at most")[0] for message in caplog.messages] == [
        f"exported form {form}: 16 photographs" for form in ("tflite", "onnx")
    ]


@pytest.mark.parametrize(
    ("forms", "measured", "message"),
    [
        (
            {"onnx": "model.onnx", "tflite": "other.tflite"},
            0.0,
            r"exported form tflite: 0\.00\d+ off in a probability of photograph id-0 .*0\.0001\)",
        ),
        ({"tflite_int8": "other.tflite"}, 0.0005, r"form tflite_int8: .*\(at most 0\.001\)"),
        ({"onnx": "none.onnx"}, 0.0, r"onnx does not load .*none\.onnx"),
        ({"coreml": "model"}, 0.0, "names the form 'coreml', which is not known"),
    ],
)
def test_a_form_that_is_off_is_not_pushed(
    version: Path, tmp_path: Path, forms: dict[str, str], measured: float, message: str
) -> None:
    copy = shutil.copytree(version, tmp_path / "copy")
    write_forms(copy, forms, measured)
    with pytest.raises(StepError, match=message) as caught:
        check_forms(copy, read_proof(copy))
    assert "\n" not in str(caught.value)


def test_eight_bits_may_be_as_far_off_as_train_has_measured(version: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(version, tmp_path / "copy")
    write_forms(copy, {"tflite_int8": "other.tflite"}, difference=0.002)
    check_forms(copy, read_proof(copy))

"""The bundle runs by itself, with three packages, and says what its model says."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.edge.bundle import write_bundle
from darkroom.artifacts.manifest import read_manifest, write_manifest
from darkroom.errors import DarkroomError, SettingsError

pytestmark = pytest.mark.slow

SIZE = 8
LABELS = ["blue", "green", "red"]
PREPROCESSING = {
    "image_size": [SIZE, SIZE],
    "resized_to": [SIZE, SIZE],
    "resize": "stretch",
    "interpolation": "bilinear",
}
PACKAGES = {"numpy", "PIL", "ai_edge_litert", "darkroom"}
"""What the program may import, beside what these need and Python's own."""
USED_IF_THERE = {"defusedxml"}
"""What Pillow imports where it is installed."""


def converted(kernel: Any) -> bytes:
    """A model in whole numbers only, of a photograph's mean colour.

    Args:
        kernel: From red, green and blue, 0 to 1, to the labels' logits, [3, K].
    """
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([1, SIZE, SIZE, 3], tf.float32, "image")])
    def predict(image: Any) -> dict[str, Any]:
        mean = tf.reduce_mean(image, axis=[1, 2]) / 255
        logits = tf.matmul(mean, tf.constant(kernel, tf.float32))
        return {"probabilities": tf.nn.softmax(logits)}

    def calibration() -> Iterator[list[Any]]:
        for colour in [*np.eye(3), *(1 - np.eye(3)), np.zeros(3), np.ones(3)]:
            yield [np.full((1, SIZE, SIZE, 3), 255 * colour, np.float32)]

    module = tf.Module()
    module.predict = predict
    function = predict.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = calibration
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    content: bytes = converter.convert()
    return content


@pytest.fixture(scope="module")
def integer_model() -> bytes:
    """Takes a photograph for the colour that it has most of."""
    return converted(8 * np.eye(3)[::-1])


def write_model(folder: Path, integer_model: bytes | None, **changes: Any) -> Path:
    """A model artifact, as far as the bundle reads it."""
    (folder / "exports").mkdir(parents=True)
    if integer_model is not None:
        (folder / "exports" / "model_integer.tflite").write_bytes(integer_model)
    content = {"labels": LABELS, "digest": "d" * 64, "preprocessing": PREPROCESSING}
    write_manifest(folder, "model", content | changes)
    return folder


def bundle_of(folder: Path, integer_model: bytes, **changes: Any) -> Path:
    write_bundle(write_model(folder / "model", integer_model, **changes), folder / "bundle")
    return folder / "bundle"


@pytest.fixture(scope="module")
def bundle(integer_model: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of(tmp_path_factory.mktemp("edge"), integer_model)


def photograph(folder: Path, name: str, colour: tuple[int, int, int]) -> Path:
    file = io.BytesIO()
    Image.new("RGB", (30, 20), colour).save(file, "JPEG")
    (folder / name).write_bytes(file.getvalue())
    return folder / name


@pytest.fixture
def red(tmp_path: Path) -> Path:
    return photograph(tmp_path, "red.jpg", (230, 30, 40))


def predict(bundle: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "predict.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=bundle)


def test_it_says_what_a_photograph_is(bundle: Path, red: Path, tmp_path: Path) -> None:
    blue = photograph(tmp_path, "blue.jpg", (20, 60, 200))
    ended = predict(bundle, red, blue)
    assert ended.returncode == 0, ended.stderr
    first, second = ended.stdout.splitlines()
    assert first.startswith(f"{red}: red  (red 0.9")
    assert second.startswith(f"{blue}: blue  (blue 0.9")
    (answer,) = json.loads(predict(bundle, red, "--json").stdout)
    assert list(answer["probabilities"]) == LABELS
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=0.01)
    assert answer["probability"] == answer["probabilities"]["red"] > 0.9
    assert read_manifest(bundle, "edge")["model_digest"] == "d" * 64


def test_a_file_that_is_no_image_does_not_stop_the_others(
    bundle: Path, red: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    ended = predict(bundle, tmp_path / "text.jpg", tmp_path / "none.jpg", red)
    assert ended.returncode == 1
    assert ended.stdout.startswith(f"{red}: red")
    said = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert said == [
        f"error: {tmp_path / 'text.jpg'}: it is no image that can be read",
        f"error: {tmp_path / 'none.jpg'}: No such file or directory",
    ]


def test_it_needs_nothing_but_its_packages(bundle: Path, red: Path) -> None:
    code = (
        "import json, sys; before = set(sys.modules); import predict\n"
        "predict.Model().answer(open(sys.argv[1], 'rb').read())\n"
        "tops = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(json.dumps(sorted(tops - set(sys.stdlib_module_names))))"
    )
    command = [sys.executable, "-c", code, str(red)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=bundle, check=True)
    imported = {name for name in json.loads(ended.stdout) if not name.startswith("_")}
    assert imported - {"predict", "cython_runtime", *USED_IF_THERE} == PACKAGES


def test_it_starts_at_once(bundle: Path, red: Path) -> None:
    process = subprocess.Popen([sys.executable, "predict.py", red], cwd=bundle)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    # Of its own work, which other processes do not slow: 0.2 s are usual, TensorFlow takes 4.
    assert usage.ru_utime + usage.ru_stime < 1


def test_several_labels_are_those_over_their_thresholds(
    integer_model: bytes, tmp_path: Path
) -> None:
    bundle = bundle_of(tmp_path, integer_model, thresholds=[0.3, 0.3, 0.9])
    yellow = photograph(tmp_path, "yellow.jpg", (200, 200, 10))
    (answer,) = json.loads(predict(bundle, yellow, "--json").stdout)
    assert answer["labels"] == ["green"]
    black = photograph(tmp_path, "black.jpg", (0, 0, 0))
    (answer,) = json.loads(predict(bundle, black, "--json").stdout)
    assert answer["labels"] == ["blue", "green"]
    strict = bundle_of(tmp_path / "strict", integer_model, thresholds=[0.9, 0.9, 0.9])
    assert predict(strict, black).stdout.startswith(f"{black}: none  (")


def test_of_two_labels_the_threshold_decides(tmp_path: Path) -> None:
    redder_is_likelier = converted([[2, 0], [0, 0], [0, 2]])
    decision = {"positive_label": "red", "threshold": 0.25}
    changes = {"labels": ["red", "blue"], "decision": decision}
    bundle = bundle_of(tmp_path, redder_is_likelier, **changes)
    bluish = photograph(tmp_path, "bluish.jpg", (80, 0, 170))
    blue = photograph(tmp_path, "blue.jpg", (0, 0, 250))
    answers = json.loads(predict(bundle, bluish, blue, "--json").stdout)
    assert [answer["label"] for answer in answers] == ["red", "blue"]
    assert 0.25 < answers[0]["probability"] < 0.5
    assert answers[1]["probability"] > 0.8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"integer_model": None}, r"has no exports/model_integer\.tflite: train it with"),
        ({"preprocessing": None}, "does not state how photographs are resized"),
    ],
)
def test_a_model_that_no_bundle_can_be_made_of(
    integer_model: bytes, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    model = write_model(tmp_path / "model", **({"integer_model": integer_model} | changes))
    with pytest.raises(DarkroomError, match=message) as raised:
        write_bundle(model, tmp_path / "bundle")
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_is_there_is_kept(integer_model: bytes, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", integer_model)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "mine.txt").touch()
    with pytest.raises(SettingsError, match="bundle exists: remove it"):
        write_bundle(model, tmp_path / "bundle")
    assert [path.name for path in (tmp_path / "bundle").iterdir()] == ["mine.txt"]


@pytest.fixture(scope="module")
def address(bundle: Path) -> Iterator[str]:
    command = [sys.executable, "predict.py", "--page", "--port", "0"]
    with subprocess.Popen(command, cwd=bundle, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def test_the_page(browser: Any, address: str, red: Path) -> None:
    page = browser.new_page()
    outside: list[str] = []
    own = (address, "data:", "blob:")
    page.on(
        "request",
        lambda asked: None if asked.url.startswith(own) else outside.append(asked.url),
    )
    page.goto(address)
    text = {"name": "text.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"}
    image = {"name": "red.jpg", "mimeType": "image/jpeg", "buffer": red.read_bytes()}
    page.get_by_label("Choose photographs").set_input_files([text, image])
    cards = page.locator("li.card[aria-busy=false]")
    page.wait_for_function("document.querySelectorAll('[aria-busy=false]').length == 2")
    said = {card.locator("h2").inner_text(): card for card in cards.all()}
    assert said["red.jpg"].locator(".answer").inner_text() == "red"
    assert said["red.jpg"].locator("ol li").first.inner_text().startswith("red")
    bad = said["text.jpg"].locator(".answer.bad").inner_text()
    assert bad == "It is no image that can be read"
    assert outside == []
    page.close()


@pytest.mark.parametrize("length", ["-1", "many", "100000001"])
def test_a_photograph_of_no_size_is_not_waited_for(address: str, length: str) -> None:
    connection = HTTPConnection(address.removeprefix("http://").rstrip("/"), timeout=20)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Length", length)
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_a_port_that_is_taken_is_one_line(bundle: Path, address: str) -> None:
    port = address.rstrip("/").rpartition(":")[2]
    ended = predict(bundle, "--page", "--port", port)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith(f"error: cannot serve at port {port}: ")

"""The edge bundle crosses rooms: its pixels are the transform graph's, its answers the model's."""

import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.edge.bundle import write_bundle
from components.transform.settings import TransformSettings
from darkroom.artifacts.manifest import write_manifest
from darkroom.records.example_proto import serialized_example
from darkroom.records.tfrecord import write_record
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

LABELS = ["blue", "green", "red"]
COUNTS = {"train": 96, "valid": 24, "test": 24}
SETTINGS = TransformSettings.model_validate(
    {"image_size": 16, "resize": "crop", "interpolation": "bicubic", "crop_margin": 0.25}
)


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    """The bundle's program, as a module."""
    path = ROOT / "components" / "edge" / "runner" / "predict.py"
    specification = importlib.util.spec_from_file_location("edge_predict", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def photograph(seed: int, width: int, height: int, form: str = "JPEG", **options: Any) -> bytes:
    """Smooth colours with some noise on them."""
    generator = np.random.default_rng(seed)
    cells = Image.fromarray(generator.integers(0, 256, (5, 6, 3), np.uint8))
    smooth = np.asarray(cells.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    noisy = np.clip(smooth + generator.integers(-20, 20, smooth.shape), 0, 255)
    file = io.BytesIO()
    Image.fromarray(noisy.astype(np.uint8)).save(file, form, **options)
    return file.getvalue()


def turned(seed: int) -> bytes:
    """A photograph that its camera was turned for."""
    exif = Image.Exif()
    exif[274] = 6
    return photograph(seed, 90, 60, exif=exif)


def see_through() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 4), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


PHOTOGRAPHS = {
    "wide": photograph(0, 320, 213),
    "high": photograph(1, 151, 240),
    "small": photograph(2, 11, 9, "PNG"),
    "of the size itself": photograph(3, 20, 20, "PNG"),
    "turned": turned(4),
    "transparent": see_through(),
    "grey": photograph(5, 64, 48, "GIF"),
}


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "area", "lanczos3"])
@pytest.mark.parametrize("resize", ["stretch", "pad", "crop"])
def test_its_pixels_are_those_of_the_graph(
    runner: ModuleType, resize: str, interpolation: str
) -> None:
    from components.transform import preprocessing
    from components.transform.decoding import decode

    settings = TransformSettings.model_validate(
        {
            "image_size": [20, 28],
            "resize": resize,
            "interpolation": interpolation,
            "crop_margin": 0.125,
        }
    )
    stated = {
        "image_size": settings.size,
        "resized_to": settings.size_with_margin,
        "resize": resize,
        "interpolation": interpolation,
    }
    for name, content in PHOTOGRAPHS.items():
        resized = preprocessing.resize(decode(content), settings)
        expected = preprocessing.crop_centre(resized, settings).numpy()
        given = runner.pixels(content, stated)
        assert given.dtype == np.uint8
        difference = np.abs(given.astype(int) - expected)
        # Values half-way between two are rounded by the last digit of a float.
        assert difference.max() <= 1, name
        assert (difference > 0).mean() <= 0.03, name


def write_examples(folder: Path) -> dict[str, list[bytes]]:
    """Noise with more of one colour, which is the label, as ingest writes it."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    written: dict[str, list[bytes]] = {}
    for split, count in COUNTS.items():
        written[split] = []
        with (folder / f"{split}-00000-of-00001.tfrecord").open("wb") as file:
            for number in range(count):
                pixels = generator.integers(0, 120, (40, 50, 3))
                pixels[..., 2 - number % 3] += 60
                buffer = io.BytesIO()
                Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG", quality=90)
                written[split].append(buffer.getvalue())
                label = LABELS[number % 3].encode()
                record = {"image_bytes": written[split][-1], "label": label}
                write_record(file, serialized_example(record))
    write_manifest(folder, "examples", {"labels": LABELS, "counts": COUNTS, "columns": {}})
    return written


def test_a_bundle_answers_as_its_model(tmp_path: Path) -> None:
    import tensorflow as tf

    from components.train.settings import TrainSettings
    from components.train.train import train
    from components.transform.transform import transform

    images = write_examples(tmp_path / "examples")["test"]
    graph, records, model = (tmp_path / name for name in ("graph", "records", "model"))
    transform(tmp_path / "examples", SETTINGS, transform_graph=graph, transformed_examples=records)
    asked = {
        "backbone": "small_cnn",
        "weights": "none",
        "epochs": 6,
        "batch_size": 16,
        "learning_rate": 0.003,
        "export": ["tflite_integer"],
    }
    settings = TrainSettings.model_validate(asked)
    train(records, graph, settings, model=model, checkpoints=tmp_path / "checkpoints")
    write_bundle(model, tmp_path / "bundle")
    files = [tmp_path / f"{number}.jpg" for number in range(len(images))]
    for file, content in zip(files, images, strict=True):
        file.write_bytes(content)
    program = tmp_path / "bundle" / "predict.py"
    command = [sys.executable, str(program), "--json", *map(str, files)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    answers = json.loads(ended.stdout)
    loaded = tf.saved_model.load(str(model))  # held, since its variables live with it
    expected = loaded.signatures["serving_default"](image_bytes=tf.constant(images))
    assert [one["label"].encode() for one in answers] == expected["label"].numpy().tolist()
    given = np.array([list(one["probabilities"].values()) for one in answers])
    assert given == pytest.approx(expected["probabilities"].numpy(), abs=0.1)

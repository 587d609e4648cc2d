"""Photographs that a server kept, embedded by a real network: another film, and none."""

import base64
import hashlib
import io
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.monitor.monitor import watch
from components.monitor.tests.pushed_versions import evaluated, write_version
from components.monitor.tests.small_world import (
    DAY,
    START,
    drawn,
    figures,
    sample,
    settings,
    write_samples,
)
from components.monitor.windows.reference import read_reference

pytestmark = pytest.mark.slow

SIZE, OF_REFERENCE = 100, 600


def save_network(folder: Path, weights: Path) -> Any:
    """Saves MobileNetV2 with its embedding alone; gives the signature."""
    import keras
    import tensorflow as tf

    network = keras.applications.MobileNetV2(
        (96, 96, 3), alpha=0.35, include_top=False, weights=str(weights), pooling="avg"
    )

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def embed(image_bytes: Any) -> Any:
        def one(encoded: Any) -> Any:
            decoded = tf.io.decode_image(encoded, channels=3, expand_animations=False)
            return tf.image.resize(decoded, [96, 96]) / 127.5 - 1

        spec = tf.TensorSpec([96, 96, 3], tf.float32)
        pixels = tf.map_fn(one, image_bytes, fn_output_signature=spec)
        return {"embedding": network(pixels, training=False)}

    module = tf.Module()
    module.network, module.embed = network, embed
    tf.saved_model.save(module, str(folder), signatures={"embedding": embed})
    return embed


def on_old_film(image: bytes) -> bytes:
    content = io.BytesIO()
    with Image.open(io.BytesIO(image)) as photograph:
        photograph.convert("L").convert("RGB").save(content, "jpeg", quality=60)
    return content.getvalue()


def test_another_film_alarms_and_the_same_does_not(
    flowers: Path, mobilenet_weights: Path, tmp_path: Path
) -> None:
    paths = sorted(
        flowers.glob("*/*.jpg"), key=lambda path: hashlib.sha256(path.name.encode()).digest()
    )
    photographs = [path.read_bytes() for path in paths[: OF_REFERENCE + 6 * SIZE]]
    import tensorflow as tf

    version = tmp_path / "served" / "1"
    embed = save_network(tmp_path / "network", mobilenet_weights)
    rows = [
        embed(tf.constant(photographs[start : start + 50]))["embedding"].numpy()
        for start in range(0, OF_REFERENCE, 50)
    ]
    write_version(version, evaluated(OF_REFERENCE), np.concatenate(rows).astype(np.float16))
    (version / "saved_model.pb").unlink()
    for path in (tmp_path / "network").iterdir():
        path.rename(version / path.name)
    samples = []
    for place, image in enumerate(photographs[OF_REFERENCE:]):
        day = place // SIZE
        kept = on_old_film(image) if day >= 4 else image
        _, (probabilities,) = drawn(1, seed=place)
        each = sample(place, START + day * DAY + place % SIZE, probabilities)
        each["image_id"] = hashlib.sha256(kept).hexdigest()
        samples.append(each | {"image": base64.b64encode(kept).decode()})
    write_samples(tmp_path, samples)
    (tmp_path / "labels.csv").write_text("image_id,label\n")
    known = {"1": read_reference(str(version), ())}
    report = watch(settings(tmp_path), tmp_path / "monitor.db", known, START + 9 * DAY)
    assert not report.problems
    connection = sqlite3.connect(tmp_path / "monitor.db")
    tests = connection.execute(
        "SELECT alarm, since FROM tests WHERE test = 'embedding' ORDER BY window"
    ).fetchall()
    connection.close()
    assert [alarm for alarm, _ in tests] == [0, 0, 0, 0, 1]
    assert tests[-1][1] == START + 4 * DAY
    of_windows = [each["embedding"] for each in figures(tmp_path / "monitor.db")]
    assert max(each["separability"] for each in of_windows[:4]) < 0.65
    assert min(each["separability"] for each in of_windows[4:]) > 0.75
    assert max(each["p_value"] for each in of_windows[4:]) < 0.005

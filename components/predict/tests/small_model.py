"""A small real model of brightness, and photographs for it."""

import io
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from darkroom.artifacts.manifest import write_manifest
from darkroom.artifacts.model import KIND, LABELS_FILE

LABELS = ["dark", "light"]


def photograph(seed: int, form: str = "JPEG") -> bytes:
    """An image of about one brightness, which follows from the seed."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 56, (20, 30, 3)) + random.integers(0, 200)
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, form)
    return file.getvalue()


def write_photographs(folder: Path, count: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{number:04d}.jpg" for number in range(count)]
    for number, file in enumerate(files):
        file.write_bytes(photograph(number))
    return files


def write_model(folder: Path, sharpness: float = 5.0, without: Collection[str] = ()) -> Path:
    """Writes a model, as train does.

    Args:
        folder: The artifact.
        sharpness: How steep its answer is.
        without: Signatures to leave out.
    """
    import tensorflow as tf

    module = tf.Module()
    module.sharpness = tf.Variable(sharpness)

    def pixels(image_bytes: Any) -> Any:
        def one(encoded: Any) -> Any:
            decoded = tf.io.decode_image(encoded, channels=3, expand_animations=False)
            return tf.image.resize(decoded, [4, 4]) / 255

        return tf.map_fn(one, image_bytes, fn_output_signature=tf.TensorSpec([4, 4, 3]))

    def serving_default(image_bytes: Any) -> dict[str, Any]:
        brightness = tf.reduce_mean(pixels(image_bytes), [1, 2, 3])
        light = tf.sigmoid(module.sharpness * (brightness - 0.5))
        probabilities = tf.stack([1 - light, light], 1)
        index = tf.argmax(probabilities, 1)
        return {
            "label": tf.gather(LABELS, index),
            "label_index": index,
            "probability": tf.reduce_max(probabilities, 1),
            "probabilities": probabilities,
        }

    def embedding(image_bytes: Any) -> dict[str, Any]:
        return {"embedding": tf.reshape(pixels(image_bytes), [-1, 48])}

    text = tf.TensorSpec([None], tf.string, "image_bytes")
    functions = {
        "serving_default": serving_default,
        "embedding": embedding,
        "with_embedding": lambda image_bytes: serving_default(image_bytes) | embedding(image_bytes),
    }
    signatures = {
        name: tf.function(function).get_concrete_function(text)
        for name, function in functions.items()
        if name not in without
    }
    tf.saved_model.save(module, str(folder), signatures)
    (folder / LABELS_FILE).write_text("".join(f"{label}\n" for label in LABELS))
    write_manifest(folder, KIND, {"labels": LABELS})
    return folder

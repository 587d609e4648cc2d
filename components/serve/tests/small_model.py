"""A small real model with the design's signatures, and images for it."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from darkroom.artifacts.model import LABELS_FILE

LABELS = ["daisy", "rose", "Löwenzahn"]
SIZE = 8
THRESHOLD = 0.3
"""Of the model of several labels an image."""


def photograph(seed: int, form: str = "JPEG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def build_model(folder: Path, seed: int, multi_label: bool = False) -> Path:
    import tensorflow as tf

    strings = tf.TensorSpec([None], tf.string)

    class Classifier(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            generator = tf.random.Generator.from_seed(seed)
            self.kernel = tf.Variable(generator.normal([SIZE * SIZE * 3, 4]))
            self.head = tf.Variable(generator.normal([4, len(LABELS)]))
            self.labels = tf.constant(LABELS)

        def decode(self, image_bytes: Any) -> Any:
            def one(data: Any) -> Any:
                image = tf.io.decode_image(data, channels=3, expand_animations=False)
                image.set_shape([None, None, 3])
                return tf.image.resize(image, [SIZE, SIZE]) / 255.0

            spec = tf.TensorSpec([SIZE, SIZE, 3], tf.float32)
            return tf.map_fn(one, image_bytes, fn_output_signature=spec)

        def embed(self, images: Any) -> Any:
            return tf.tanh(tf.reshape(images - 0.5, [-1, SIZE * SIZE * 3]) @ self.kernel)

        def classify(self, images: Any) -> dict[str, Any]:
            probabilities = tf.nn.softmax(self.embed(images) @ self.head)
            index = tf.argmax(probabilities, -1)
            names = tf.where(probabilities >= THRESHOLD, self.labels + " ", "")
            joined = tf.strings.strip(tf.strings.reduce_join(names, -1))
            return {
                **({"labels": joined} if multi_label else {}),
                "label": tf.gather(self.labels, index),
                "label_index": index,
                "probability": tf.reduce_max(probabilities, -1),
                "probabilities": probabilities,
            }

        @tf.function(input_signature=[strings])
        def serving_default(self, image_bytes: Any) -> dict[str, Any]:
            return self.classify(self.decode(image_bytes))

        @tf.function(input_signature=[strings, strings])
        def with_key(self, image_bytes: Any, key: Any) -> dict[str, Any]:
            return {**self.classify(self.decode(image_bytes)), "key": tf.identity(key)}

        @tf.function(input_signature=[strings])
        def embedding(self, image_bytes: Any) -> dict[str, Any]:
            return {"embedding": self.embed(self.decode(image_bytes))}

        @tf.function(input_signature=[strings])
        def from_filenames(self, filenames: Any) -> dict[str, Any]:
            data = tf.map_fn(tf.io.read_file, filenames)
            return {**self.classify(self.decode(data)), "filenames": tf.identity(filenames)}

        @tf.function(input_signature=[strings])
        def from_examples(self, examples: Any) -> dict[str, Any]:
            text = tf.io.FixedLenFeature([], tf.string)
            parsed = tf.io.parse_example(examples, {"image_bytes": text, "image_id": text})
            outputs = self.classify(self.decode(parsed["image_bytes"]))
            return {**outputs, "image_id": parsed["image_id"]}

        @tf.function(input_signature=[strings])
        def xai_preprocess(self, image_bytes: Any) -> dict[str, Any]:
            return {"input_images": self.decode(image_bytes)}

        @tf.function(input_signature=[tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32)])
        def xai_model(self, input_images: Any) -> dict[str, Any]:
            return self.classify(input_images)

        @tf.function(input_signature=[strings])
        def thumbnail(self, image_bytes: Any) -> dict[str, Any]:
            def one(image: Any) -> Any:
                return tf.io.encode_png(tf.cast(image * 255, tf.uint8))

            images = self.decode(image_bytes)
            data = tf.map_fn(one, images, fn_output_signature=tf.string)
            return {"thumbnail_bytes": data}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)])
        def busy(self, rounds: Any) -> dict[str, Any]:
            """Keeps one core at work for as long as it is asked to."""
            matrix = tf.eye(64)
            for _ in tf.range(1000 * rounds[0]):
                matrix = matrix @ matrix
            return {"total": tf.reduce_sum(matrix)[tf.newaxis], "rounds": tf.identity(rounds)}

    module = Classifier()
    names = [
        *["serving_default", "with_key", "embedding", "from_filenames", "from_examples"],
        *["xai_preprocess", "xai_model", "thumbnail", "busy"],
    ]
    tf.saved_model.save(module, folder, {name: getattr(module, name) for name in names})
    labels = "".join(f"{label}\n" for label in LABELS)
    (folder / LABELS_FILE).write_text(labels, encoding="utf-8")
    return folder

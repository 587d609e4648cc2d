"""Models on photographs as other cameras would have made them, each pair on the same ones.

    python -m benchmarks.shift EXAMPLES MODEL_DIR MODEL_DIR...

Every test photograph gets another white balance, exposure, contrast and sharpness and is saved at
a low quality, by numbers drawn from a seed: once for all models. It prints each model's accuracy
on the photographs as they are and as they are changed, and how each compares with the first.
"""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from components.evaluate.comparison.compare import accuracy_difference
from components.evaluate.comparison.decision import in_words
from darkroom.artifacts.examples import IMAGE_BYTES, LABEL, read_examples
from darkroom.artifacts.saved_model import load_saved_model
from darkroom.records.example_proto import parsed_example
from darkroom.records.tfrecord import read_records

SEED = 0
BATCH = 32


def shifted(encoded: bytes, generator: np.random.Generator) -> bytes:
    """A photograph as another camera would have made it."""
    with Image.open(io.BytesIO(encoded)) as opened:
        picture = opened.convert("RGB")
    picture = picture.filter(ImageFilter.GaussianBlur(generator.uniform(0, 1.5)))
    pixels = np.asarray(picture, np.float64) / 255
    pixels *= generator.uniform(0.8, 1.25, 3)  # white balance
    pixels = np.clip(pixels * generator.uniform(0.7, 1.3), 0, 1)  # exposure
    pixels = pixels ** generator.uniform(0.7, 1.4)  # contrast
    pixels += generator.normal(0, generator.uniform(0, 0.03), pixels.shape)
    changed = Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8))
    saved = io.BytesIO()
    changed.save(saved, "JPEG", quality=int(generator.integers(25, 70)))
    return saved.getvalue()


def right(model: Path, images: list[bytes], labels: list[bytes]) -> Any:
    """Which answers are right, bool [N]."""
    import tensorflow as tf

    signature = load_saved_model(model).signatures["serving_default"]
    given: list[bytes] = []
    for start in range(0, len(images), BATCH):
        batch = tf.constant(images[start : start + BATCH])
        given += signature(image_bytes=batch)["label"].numpy().tolist()
    return np.array(given) == np.array(labels)


def main(examples: Path, models: list[Path]) -> None:
    """Prints the figures."""
    records = [
        parsed_example(record)
        for shard in read_examples(examples).shards("test")
        for record in read_records(shard)
    ]
    labels = [record[LABEL][0] for record in records]
    plain = [record[IMAGE_BYTES][0] for record in records]
    generator = np.random.default_rng(SEED)
    changed = [shifted(image, generator) for image in plain]
    first = None
    for model in models:
        as_is, other = right(model, plain, labels), right(model, changed, labels)
        print(f"{model}: {as_is.mean():.3f} as they are, {other.mean():.3f} changed")
        if first is None:
            first = other
            continue
        outcomes = [int(part.sum()) for part in (other & first, other & ~first, ~other & first)]
        found = accuracy_difference({}, (*outcomes, len(labels) - sum(outcomes)))  # type: ignore[arg-type]
        print(f"  changed: {in_words(found, 'the first')}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(model) for model in sys.argv[2:]])

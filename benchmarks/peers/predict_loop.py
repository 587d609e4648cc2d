"""Predictions as one writes them by hand: files through tf.data, a batch, a signature, a list.

Usage: predict_loop.py MODEL FOLDER
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

BATCH = 64


def main(model: str, folder: str) -> None:
    """Predicts the photographs of a folder of label folders."""
    import tensorflow as tf

    loaded = tf.saved_model.load(model)
    signature = loaded.signatures["serving_default"]
    files = sorted(str(path) for path in Path(folder).glob("*/*.jpg"))
    data = tf.data.Dataset.from_tensor_slices(files)
    data = data.map(tf.io.read_file, tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE)
    labels: list[bytes] = []
    for batch in data:
        labels += signature(image_bytes=batch)["label"].numpy().tolist()
    assert len(labels) == len(files)


if __name__ == "__main__":
    main(*sys.argv[1:])

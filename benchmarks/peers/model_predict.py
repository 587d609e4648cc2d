"""A bare `model.predict` over examples: parse, decode, resize, predict; nothing kept.

Usage: python benchmarks/peers/model_predict.py EXAMPLES

Written on its own, sharing no code with Darkroom: the network that benchmarks/evaluate.py exports,
as Keras has it, fed by tf.data as its guide says.
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import tensorflow as tf

SIDE, ALPHA, LABELS, BATCH = 160, 0.35, 5, 64


def main(examples: str) -> None:
    """Runs through the test shards once."""
    features = {"image_bytes": tf.io.FixedLenFeature([], tf.string)}

    def decode(record):
        encoded = tf.io.parse_single_example(record, features)["image_bytes"]
        image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        image.set_shape([None, None, 3])
        return tf.image.resize(tf.cast(image, tf.float32), [SIDE, SIDE], antialias=True)

    shards = sorted(tf.io.gfile.glob(f"{examples}/test-*.tfrecord"))
    dataset = tf.data.TFRecordDataset(shards).map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    pixels = keras.Input((SIDE, SIDE, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    backbone = keras.applications.MobileNetV2(
        (SIDE, SIDE, 3), alpha=ALPHA, include_top=False, weights=None, pooling="avg"
    )
    head = keras.layers.Dense(LABELS, "softmax")
    model = keras.Model(pixels, head(backbone(scaled)))
    answers = model.predict(dataset.batch(BATCH).prefetch(tf.data.AUTOTUNE), verbose=0)
    print(f"{len(answers)} photographs")


if __name__ == "__main__":
    main(sys.argv[1])

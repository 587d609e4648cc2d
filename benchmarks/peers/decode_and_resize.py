"""A bare tf.data loop over examples: parse, decode, resize, batch; nothing kept, on all cores.

Usage: python benchmarks/peers/decode_and_resize.py EXAMPLES SIDE

Written on its own, sharing no code with Darkroom, with the same TensorFlow functions: it is what
TensorFlow can do at all. It writes no records and no graph, and computes no mean and variance.
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import tensorflow as tf


def main(examples: str, side: int) -> None:
    """Runs through all shards once."""
    features = {"image_bytes": tf.io.FixedLenFeature([], tf.string)}

    def decode(record):
        encoded = tf.io.parse_single_example(record, features)["image_bytes"]
        image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        image.set_shape([None, None, 3])
        resized = tf.image.resize(tf.cast(image, tf.float32), [side, side], antialias=True)
        return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)

    shards = sorted(tf.io.gfile.glob(f"{examples}/*.tfrecord"))
    dataset = tf.data.TFRecordDataset(shards)
    dataset = dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE).batch(64)
    count = sum(len(batch) for batch in dataset.prefetch(tf.data.AUTOTUNE))
    print(f"{count} photographs")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

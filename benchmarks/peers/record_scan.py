"""A bare scan of transformed records: read, parse, decode, batch; nothing shuffled, nothing kept.

Usage: python benchmarks/peers/record_scan.py TRANSFORMED SIDE BATCHES

Written on its own, sharing no code with Darkroom. Prints the seconds of the batches after the
first hundred, read by a graph that does nothing with them.
"""

import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import tensorflow as tf

BATCH, WARM = 32, 100


def main(transformed: str, side: int, batches: int) -> None:
    """Times the scan."""
    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label_index": tf.io.FixedLenFeature([], tf.int64),
    }

    def parse(records):
        parsed = tf.io.parse_example(records, features)
        pixels = tf.io.decode_raw(parsed["image"], tf.uint8)
        return tf.reshape(pixels, [-1, side, side, 3]), parsed["label_index"]

    shards = sorted(tf.io.gfile.glob(f"{transformed}/train-*.tfrecord"))
    dataset = tf.data.TFRecordDataset(shards).repeat().batch(BATCH)
    dataset = dataset.map(parse, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    iterator = iter(dataset)

    @tf.function
    def run(count):
        seen = tf.constant(0)
        for _ in tf.range(count):
            images, _ = next(iterator)
            seen += tf.shape(images)[0]
        return seen

    run(tf.constant(WARM))
    started = time.perf_counter()
    run(tf.constant(batches))
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

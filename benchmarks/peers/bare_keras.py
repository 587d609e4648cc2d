"""The training that one would write alone in Keras: the same network, photographs and batches.

Usage: python benchmarks/peers/bare_keras.py TRANSFORMED SIDE WEIGHTS EPOCHS

Written on its own, sharing no code with Darkroom: MobileNetV2 at alpha 0.35, its batch norm
frozen, all else trained with Adam by `fit`, validated after every epoch. Prints a line of the
seconds of every epoch.
"""

import itertools
import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import tensorflow as tf

BATCH, LABELS = 32, 5


def dataset(transformed: str, split: str, side: int) -> tf.data.Dataset:
    """Batches of (images, one-hot labels) of a split."""
    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label_index": tf.io.FixedLenFeature([], tf.int64),
    }

    def parse(records):
        parsed = tf.io.parse_example(records, features)
        pixels = tf.io.decode_raw(parsed["image"], tf.uint8)
        labels = tf.one_hot(parsed["label_index"], LABELS)
        return tf.reshape(pixels, [-1, side, side, 3]), labels

    shards = sorted(tf.io.gfile.glob(f"{transformed}/{split}-*.tfrecord"))
    records = tf.data.TFRecordDataset(shards)
    if split == "train":
        records = records.shuffle(4096)
    records = records.batch(BATCH, drop_remainder=split == "train")
    return records.map(parse, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def network(side: int, weights: str) -> keras.Model:
    """MobileNetV2 with a head, its batch norm frozen."""
    backbone = keras.applications.MobileNetV2(
        (side, side, 3), alpha=0.35, include_top=False, weights=weights, pooling="avg"
    )
    for layer in backbone.layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    pixels = keras.Input((side, side, 3))
    features = backbone(keras.layers.Rescaling(1 / 127.5, -1)(pixels))
    head = keras.layers.Dense(LABELS, "softmax")(keras.layers.Dropout(0.2)(features))
    return keras.Model(pixels, head)


def main(transformed: str, side: int, weights: str, epochs: int) -> None:
    """Trains, and prints the seconds of every epoch."""
    model, ends = network(side, weights), []
    clock = keras.callbacks.LambdaCallback(
        on_train_begin=lambda _: ends.append(time.perf_counter()),
        on_epoch_end=lambda _, __: ends.append(time.perf_counter()),
    )
    # XLA is Keras's own choice here, and the slower one on a CPU.
    model.compile(
        "adam",
        keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        metrics=["accuracy"],
        jit_compile=False,
    )
    model.fit(
        dataset(transformed, "train", side),
        validation_data=dataset(transformed, "valid", side),
        epochs=epochs,
        verbose=0,
        callbacks=[clock],
    )
    print(*(end - begin for begin, end in itertools.pairwise(ends)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))

"""The batches that the train step reads: how fast they come, and how long a training step waits.

Usage: python -m benchmarks.batches feed|wait TRANSFORMED GRAPH SETTINGS BATCHES

`feed` hands them to a graph that does nothing, and prints the seconds of the batches after the
first hundred. `wait` trains with them, and prints the seconds spent asking for a batch and those
of whole steps.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

WARM = {"feed": 100, "wait": 10}


def main(mode: str, transformed: str, graph: str, settings: str, batches: int) -> None:
    """Times the batches."""
    from components.train.data.batches import WorkerShard, training_stream
    from components.train.settings import TrainSettings
    from darkroom.artifacts.transformed import read_transform_graph, read_transformed_examples
    from darkroom.settings import read_yaml, validate_settings

    given = validate_settings(TrainSettings, read_yaml(settings))
    fitted = read_transform_graph(Path(graph))
    stream = training_stream(
        read_transformed_examples(Path(transformed)),
        fitted,
        WorkerShard(given.batch_size),
        given.seed,
        augmentation=given.augmentation,
    )
    if mode == "feed":
        print(_feed(iter(stream), batches))
    else:
        print(*_wait(iter(stream), _step(given, fitted), batches))


def _feed(iterator: Any, batches: int) -> float:
    import tensorflow as tf

    @tf.function  # type: ignore[untyped-decorator]
    def run(count: Any) -> Any:
        seen = tf.constant(0)
        for _ in tf.range(count):
            images, _ = next(iterator)
            seen += tf.shape(images)[0]
        return seen

    run(tf.constant(WARM["feed"]))
    started = time.perf_counter()
    run(tf.constant(batches))
    return time.perf_counter() - started


def _step(settings: Any, graph: Any) -> Any:
    """A training step of the whole network."""
    import keras
    import tensorflow as tf

    from components.train.model.network import build_network

    model = build_network(settings, graph, settings.weights).model
    optimizer = keras.optimizers.Adam()

    @tf.function  # type: ignore[untyped-decorator]
    def step(images: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            probabilities = model(images, training=True)
            loss = tf.reduce_mean(keras.losses.categorical_crossentropy(labels, probabilities))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    return step


def _wait(iterator: Any, step: Any, batches: int) -> tuple[float, float]:
    waited, began = 0.0, 0.0
    for number in range(WARM["wait"] + batches):
        if number == WARM["wait"]:
            waited, began = 0.0, time.perf_counter()
        asked = time.perf_counter()
        batch = next(iterator)
        waited += time.perf_counter() - asked
        step(*batch).numpy()
    return waited, time.perf_counter() - began


if __name__ == "__main__":
    mode, transformed, graph, settings, batches = sys.argv[1:]
    main(mode, transformed, graph, settings, int(batches))

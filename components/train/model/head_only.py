"""Training on embeddings: the head alone, on what transform's frozen backbone gave."""

import dataclasses
from collections.abc import Callable
from typing import Any

from components.train.augmentation.settings import AugmentationSettings
from components.train.data.labels import label_features, label_vectors
from components.train.model.network import Network
from components.train.settings import TrainSettings
from darkroom.artifacts.transformed import (
    EMBEDDING,
    Embeddings,
    TransformGraph,
    weights_digest,
)
from darkroom.errors import SettingsError, StepError


def check_head_only(settings: TrainSettings) -> None:
    """Checks that nothing is asked for that would change pixels or backbone, or needs pixels.

    Raises:
        SettingsError: Something is.
    """
    asked = {
        "fine_tune_epochs": settings.fine_tune_epochs > 0,
        "augmentation": settings.augmentation != AugmentationSettings(),
        "standardize": settings.standardize,
        "from_model": settings.from_model is not None,
    }
    for name, is_asked in asked.items():
        if is_asked:
            raise SettingsError(
                f"train.{name} is not for embeddings, of which the head alone is trained: "
                "leave it out, or transform.embeddings"
            )
    if "tflite_int8" in settings.export:
        raise SettingsError(
            "train.export tflite_int8 is calibrated on training photographs, which embeddings do "
            "not show: leave it out, or transform.embeddings"
        )


def check_embeddings(embeddings: Embeddings, settings: TrainSettings) -> None:
    """Checks that a training can be done on embeddings.

    Args:
        embeddings: Whose they are.
        settings: The train step's settings.

    Raises:
        SettingsError: The settings ask for more than a head, or their weights file is missing.
        StepError: The settings name another backbone, or other weights of it.
    """
    check_head_only(settings)
    digest = weights_digest(settings.weights)
    asked = Embeddings(settings.backbone, settings.alpha, digest, embeddings.size)
    if asked != embeddings:
        raise StepError(
            f"the transformed examples hold embeddings of {_described(embeddings)}, and train is "
            f"set to {_described(asked)}: set train.backbone, train.alpha and train.weights as "
            "in transform.embeddings"
        )


def head_network(network: Network) -> Network:
    """The network whose `model` is the head alone, from embeddings to probabilities.

    Its layers are those of the full network, which therefore has all that they learn.
    """
    import keras

    embedding, probabilities = network.embedding.outputs
    return dataclasses.replace(network, model=keras.Model(embedding, probabilities))


def embeddings_parser(size: int, graph: TransformGraph) -> Callable[[Any], tuple[Any, Any]]:
    """Gives what parses a batch of records.

    Args:
        size: Values an embedding.
        graph: States the labels.

    Returns:
        A function from serialized records, string [N], to (embeddings float32 [N, size], labels
        float32 [N, K]).
    """
    import tensorflow as tf

    features = {EMBEDDING: tf.io.FixedLenFeature([], tf.string)} | label_features(graph)

    def parse(records: Any) -> tuple[Any, Any]:
        parsed = tf.io.parse_example(records, features)
        values = tf.cast(tf.io.decode_raw(parsed[EMBEDDING], tf.float16), tf.float32)
        embeddings = tf.reshape(values, [records.shape[0], size])
        return embeddings, label_vectors(parsed, graph)

    return parse


def _described(embeddings: Embeddings) -> str:
    alpha = "" if embeddings.alpha is None else f", alpha {embeddings.alpha:g}"
    return f"{embeddings.backbone} (weights {embeddings.weights_digest[:12]}{alpha})"

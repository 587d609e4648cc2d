"""The network: scaling, backbone and head, from uint8 pixels to probabilities."""

import dataclasses
from typing import Any

from components.train.augmentation.settings import AugmentationSettings
from components.train.settings import TrainSettings
from darkroom.artifacts.transformed import (
    Embeddings,
    TransformGraph,
    weights_digest,
)
from darkroom.backbones.build import build_backbone, pooled
from darkroom.backbones.preprocess import scaling
from darkroom.errors import SettingsError, StepError


@dataclasses.dataclass(frozen=True)
class Network:
    """A network and the parts of it that other modules use.

    Attributes:
        model: keras.Model from pixels 0 to 255 [N, H, W, 3] to probabilities float32 [N, K].
        backbone: The keras.Model within it that is frozen in the head's phase.
        embedding: keras.Model from the same pixels to (embedding float32 [N, D], probabilities).
    """

    model: Any
    backbone: Any
    embedding: Any


def build_network(settings: TrainSettings, graph: TransformGraph, weights: str) -> Network:
    """Builds the network with seeded random weights in its head.

    Args:
        settings: The train step's settings.
        graph: States image size, labels and pixel statistics.
        weights: Initial weights of the backbone, as `build_backbone` takes them.
    """
    import keras

    keras.utils.set_random_seed(settings.seed)
    backbone = build_backbone(settings.backbone, graph.image_size, settings.alpha, weights)
    scale = scaling(settings.backbone, graph.pixel_mean, graph.pixel_variance, settings.standardize)
    pixels = keras.Input((*graph.image_size, 3), name="pixels")
    features = backbone(scale(pixels))
    embedding = pooled(features)
    dropped = keras.layers.Dropout(settings.dropout, seed=settings.seed)(embedding)
    penalty = keras.regularizers.L1L2(settings.l1, settings.l2)
    if settings.head_width:
        hidden = keras.layers.Dense(
            settings.head_width, "relu", kernel_regularizer=penalty, name="hidden"
        )
        dropped = hidden(dropped)
    # float32 under every dtype policy: probabilities in half precision do not sum to 1.
    head = keras.layers.Dense(
        len(graph.labels),
        "sigmoid" if graph.multi_label else "softmax",
        kernel_regularizer=penalty,
        dtype="float32",
        name="head",
    )
    probabilities = head(dropped)
    return Network(
        model=keras.Model(pixels, probabilities),
        backbone=backbone,
        embedding=keras.Model(pixels, [embedding, probabilities]),
    )


def check_head_only(settings: TrainSettings) -> None:
    """Checks that the settings change neither pixels nor backbone, and need no pixels.

    Raises:
        SettingsError: They do.
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
                f"train.{name} is not for embeddings, on which only the head is trained: "
                "leave it out, or transform.embeddings"
            )
    if "tflite_int8" in settings.export:
        raise SettingsError(
            "train.export tflite_int8 is calibrated on training photographs, which embeddings do "
            "not contain: leave it out, or transform.embeddings"
        )


def check_embeddings(embeddings: Embeddings, settings: TrainSettings) -> None:
    """Checks that the settings can train on embeddings.

    Args:
        embeddings: Backbone and weights that computed them.
        settings: The train step's settings.

    Raises:
        SettingsError: The settings train more than a head, or their weights file is missing.
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
    """A network whose `model` is the head only, from embeddings to probabilities.

    It shares its layers with the full network, which is therefore trained with it.
    """
    import keras

    embedding, probabilities = network.embedding.outputs
    return dataclasses.replace(network, model=keras.Model(embedding, probabilities))


def _described(embeddings: Embeddings) -> str:
    alpha = "" if embeddings.alpha is None else f", alpha {embeddings.alpha:g}"
    return f"{embeddings.backbone} (weights {embeddings.weights_digest[:12]}{alpha})"

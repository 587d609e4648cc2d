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
    """A network and the parts of it that others reach for.

    Attributes:
        model: keras.Model from pixels 0 to 255 [N, H, W, 3] to probabilities float32 [N, K].
        backbone: The keras.Model within it that is frozen while the head is trained.
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
        weights: What the backbone starts from, as `build_backbone` takes it.
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
    # float32 whatever the policy: probabilities in half precision do not sum to 1.
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


def _described(embeddings: Embeddings) -> str:
    alpha = "" if embeddings.alpha is None else f", alpha {embeddings.alpha:g}"
    return f"{embeddings.backbone} (weights {embeddings.weights_digest[:12]}{alpha})"

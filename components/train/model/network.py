"""The network: scaling, backbone and head, from uint8 pixels to probabilities."""

import dataclasses
from typing import Any

from components.train.settings import TrainSettings
from darkroom.artifacts.transformed import TransformGraph
from darkroom.backbones.build import build_backbone, pooled
from darkroom.backbones.preprocess import scaling


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

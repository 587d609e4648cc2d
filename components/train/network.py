"""The network: augmentation, scaling, backbone and head, from uint8 pixels to probabilities."""

import dataclasses
from typing import Any

from components.artifacts.backbones import build_backbone, scaling
from components.artifacts.transformed import TransformGraph
from components.train.settings import AugmentationSettings, TrainSettings


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
    # Augmented before scaling, so that every change means the same to every backbone.
    augmented = _augmentation(settings.augmentation, settings.seed)(pixels)
    features = backbone(scale(augmented))
    embedding = keras.layers.GlobalAveragePooling2D(name="embedding")(features)
    dropped = keras.layers.Dropout(settings.dropout, seed=settings.seed)(embedding)
    # float32 whatever the policy: probabilities in half precision do not sum to 1.
    head = keras.layers.Dense(len(graph.labels), "softmax", dtype="float32", name="head")
    probabilities = head(dropped)
    return Network(
        model=keras.Model(pixels, probabilities),
        backbone=backbone,
        embedding=keras.Model(pixels, [embedding, probabilities]),
    )


def _augmentation(settings: AugmentationSettings, seed: int) -> Any:
    """Keras's own layers: they change pixels in training and let them pass otherwise."""
    import keras

    layers: list[Any] = [keras.layers.Identity()]
    if settings.flip:
        layers.append(keras.layers.RandomFlip("horizontal", seed=seed))
    if settings.rotation:
        layers.append(keras.layers.RandomRotation(settings.rotation, seed=seed))
    if settings.translation:
        shift = settings.translation
        layers.append(keras.layers.RandomTranslation(shift, shift, seed=seed))
    if settings.zoom:
        layers.append(keras.layers.RandomZoom(settings.zoom, seed=seed))
    if settings.contrast:
        layers.append(keras.layers.RandomContrast(settings.contrast, (0, 255), seed=seed))
    return keras.Sequential(layers, name="augmentation")

"""The network: scaling, backbone and head, and the weights that it starts from."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

from components.train.augmentation.settings import AugmentationSettings
from components.train.settings import CALIBRATED_FORMS, TrainSettings
from darkroom.artifacts.model import read_model
from darkroom.artifacts.saved_model import plain_path
from darkroom.artifacts.transformed import (
    Embeddings,
    TransformGraph,
    weights_digest,
)
from darkroom.backbones.preprocess import scaling
from darkroom.backbones.registry import build_backbone, pooled
from darkroom.errors import SettingsError, StepError

HEAD = "head"
"""Name of the layer that gives the probabilities."""


@dataclasses.dataclass(frozen=True)
class Network:
    """A network and the parts of it that other modules use.

    Attributes:
        model: keras.Model from pixels 0 to 255 [N, H, W, 3] to probabilities float32 [N, K].
        backbone: The keras.Model within it that is frozen in the head's phase.
        embedding: keras.Model from the same pixels to (embedding float32 [N, D], probabilities).
        parts: keras.Models from the same pixels to the feature map [N, h, w, D], and from that to
            the probabilities; None where the backbone gives no feature map.
    """

    model: Any
    backbone: Any
    embedding: Any
    parts: tuple[Any, Any] | None


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
        name=HEAD,
    )
    probabilities = head(dropped)
    return Network(
        model=keras.Model(pixels, probabilities),
        backbone=backbone,
        embedding=keras.Model(pixels, [embedding, probabilities]),
        parts=_parts(pixels, features, probabilities),
    )


def _parts(pixels: Any, features: Any, probabilities: Any) -> tuple[Any, Any] | None:
    import keras

    if len(features.shape) != 4:
        return None
    return keras.Model(pixels, features), keras.Model(features, probabilities)


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
    for form in (form for form in CALIBRATED_FORMS if form in settings.export):
        raise SettingsError(
            f"train.export {form} is calibrated on training photographs, which embeddings do "
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


_log = logging.getLogger("darkroom.train")

WEIGHTS = "network_weights"
"""Name of the network's weights within the SavedModel: a list in the network's order."""


def former_weights(settings: TrainSettings, graph: TransformGraph) -> list[Any] | None:
    """Reads the weights of `train.from_model`.

    Args:
        settings: The train step's settings.
        graph: States the labels.

    Returns:
        Arrays in the order of the network's weights; None, with a warning that says why, if the
        training must start from scratch.

    Raises:
        StepError: The model is missing or incomplete.
    """
    if settings.from_model is None:
        return None
    model = read_model(Path(settings.from_model))
    theirs = model.manifest["settings"]
    if model.labels != tuple(graph.labels):
        return _scratch(model.folder, f"its {len(model.labels)} labels differ")
    if (model.thresholds is not None) != graph.multi_label:
        several = "several labels" if model.thresholds else "one label"
        return _scratch(model.folder, f"it predicts {several} per photograph")
    for name in ("backbone", "alpha"):
        if theirs.get(name) != getattr(settings, name):
            return _scratch(model.folder, f"its {name} is {theirs.get(name)}")
    weights = _saved_weights(model.folder)
    return weights or _scratch(model.folder, "it was written by a release that stored no weights")


def load_former(network: Any, weights: list[Any], folder: str) -> bool:
    """Assigns a former model's weights to a network; False, with a warning, if they do not fit.

    Args:
        network: A keras.Model.
        weights: The arrays that `former_weights` returned.
        folder: The former model's folder, for messages.
    """
    shapes = [tuple(variable.shape) for variable in network.weights]
    if shapes != [value.shape for value in weights]:
        _scratch(Path(folder), "its weights have other shapes")
        return False
    for variable, value in zip(network.weights, weights, strict=True):
        variable.assign(value)
    _log.info("starts from the weights of %s", folder)
    return True


def _saved_weights(folder: Path) -> list[Any]:
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(plain_path(folder) / "variables" / "variables"))
    stored = reader.get_variable_to_shape_map()
    names: list[str] = []
    while (name := f"{WEIGHTS}/{len(names)}/.ATTRIBUTES/VARIABLE_VALUE") in stored:
        names.append(name)
    import numpy as np

    return [np.asarray(reader.get_tensor(name)) for name in names]


def _scratch(folder: Path, reason: str) -> list[Any] | None:
    _log.warning("trains from scratch, not from %s: %s", folder, reason)
    return None

"""Training on embeddings: the head alone, on what transform's frozen backbone gave."""

import dataclasses

from components.train.augmentation.settings import AugmentationSettings
from components.train.model.network import Network
from components.train.settings import TrainSettings
from darkroom.artifacts.transformed import (
    Embeddings,
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


def _described(embeddings: Embeddings) -> str:
    alpha = "" if embeddings.alpha is None else f", alpha {embeddings.alpha:g}"
    return f"{embeddings.backbone} (weights {embeddings.weights_digest[:12]}{alpha})"

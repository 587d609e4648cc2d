"""Warm starts: a former model's weights as the initial weights of a training."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from components.train.settings import TrainSettings
from darkroom.artifacts.model import read_model
from darkroom.artifacts.transformed import TransformGraph

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

    reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    stored = reader.get_variable_to_shape_map()
    names: list[str] = []
    while (name := f"{WEIGHTS}/{len(names)}/.ATTRIBUTES/VARIABLE_VALUE") in stored:
        names.append(name)
    return [np.asarray(reader.get_tensor(name)) for name in names]


def _scratch(folder: Path, reason: str) -> list[Any] | None:
    _log.warning("trains from scratch, not from %s: %s", folder, reason)
    return None

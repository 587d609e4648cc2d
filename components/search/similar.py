"""Photographs that a model finds alike, from an index of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from components.search.index import Neighbour, PhotographIndex
from darkroom.artifacts.manifest import content_digest
from darkroom.artifacts.model import EMBEDDING, IMAGE_BYTES
from darkroom.artifacts.model_repository import is_complete
from darkroom.artifacts.saved_model import load_saved_model
from darkroom.errors import SettingsError, StepError
from darkroom.sources.folders import refused_name
from darkroom.storage.atomic import os_reason


class Found(NamedTuple):
    """What is like a photograph.

    Attributes:
        image: The photograph that was asked about.
        neighbours: The photographs that are most alike, the nearest first.
    """

    image: Path
    neighbours: list[Neighbour]


def find_similar(model: Path, index: Path, images: Sequence[Path], count: int) -> list[Found]:
    """Finds the photographs of an index that are most like some others.

    Args:
        model: A model artifact, whose embeddings the index holds.
        index: The folder that `build_index` wrote.
        images: Files.
        count: How many are found for each.

    Raises:
        SettingsError: There is no such file, or no model.
        StepError: The index is not complete or of another model, a file is no image that the model
            can read, or its embedding is zero or not finite.
    """
    for image in images:
        if not image.is_file():
            raise SettingsError(f"there is no file {image}")
        if refused := refused_name(str(image)):
            raise SettingsError(f"{refused.row['image']}: {refused.detail}")
    if not is_complete(model):
        raise SettingsError(f"there is no model at {model}")
    # Before the model, which takes seconds to load.
    photographs = PhotographIndex(index, content_digest(model))
    loaded = load_saved_model(model)
    if EMBEDDING not in loaded.signatures:
        raise StepError(f"the model {model} has no signature '{EMBEDDING}'; train it again")
    return [Found(image, photographs.nearest(_embedding(loaded, image), count)) for image in images]


def _embedding(loaded: Any, image: Path) -> Any:
    import numpy as np
    import tensorflow as tf

    try:
        content = image.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {image}: {os_reason(error)}") from error
    try:
        given = loaded.signatures[EMBEDDING](**{IMAGE_BYTES: tf.constant([content])})
    except tf.errors.InvalidArgumentError as error:
        raise StepError(f"{image} is no image that the model can read") from error
    embedding = given[EMBEDDING].numpy()[0]
    length = np.linalg.norm(embedding.astype(np.float64))
    if not (np.isfinite(length) and length > 0):
        raise StepError(f"the model's embedding of {image} is no direction: nothing is like it")
    return embedding

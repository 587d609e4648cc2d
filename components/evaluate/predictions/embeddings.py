"""Embeddings of photographs, for what distances between them tell."""

from collections.abc import Iterable, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from components.evaluate.predictions.features import feature_text
from darkroom.artifacts.examples import (
    IMAGE_BYTES,
    IMAGE_ID,
    IMAGE_PATH,
    LABEL,
    PSEUDO_LABELLED,
)
from darkroom.artifacts.model import EMBEDDING, SERVING_DEFAULT
from darkroom.artifacts.predictions import PROBABILITIES
from darkroom.artifacts.saved_model import load_saved_model
from darkroom.errors import StepError
from darkroom.records.example_proto import parsed_example
from darkroom.records.tfrecord import read_records

BATCH_SIZE = 64

Floats = npt.NDArray[np.float32]


class Photograph(NamedTuple):
    """What is known of a photograph without looking at it."""

    image_id: str
    path: str
    label: str


class Embedder:
    """A model that is asked for embeddings.

    Args:
        folder: The model.

    Raises:
        StepError: It has no such signature.
    """

    def __init__(self, folder: Path) -> None:
        self._loaded = load_saved_model(folder)
        if EMBEDDING not in self._loaded.signatures:
            raise StepError(f"the model {folder} has no signature '{EMBEDDING}'; train it again")

    def records(
        self, shards: Iterable[str], count: int, most: int
    ) -> tuple[list[Photograph], Floats]:
        """Photographs spread evenly over some shards, and their embeddings of length 1.

        Those whose label a model gave are passed over.

        Args:
            shards: Paths or URIs of TFRecord files of examples.
            count: How many photographs they hold.
            most: Largest number of photographs.

        Returns:
            N photographs, and float32 [N, D].
        """
        known: list[Photograph] = []
        found: list[Floats] = []
        # Photographs are in the order of their labels: the first ones would be of one label.
        step = max(1, -(-count // most))
        every = chain.from_iterable(map(read_records, shards))
        spread = map(parsed_example, islice(every, 0, None, step))
        records = (one for one in spread if not one.get(PSEUDO_LABELLED))
        while examples := list(islice(records, BATCH_SIZE)):
            known += [
                Photograph(*(feature_text(one[name][0]) for name in (IMAGE_ID, IMAGE_PATH, LABEL)))
                for one in examples
            ]
            found.append(self.embeddings([one[IMAGE_BYTES][0] for one in examples]))
        return known, np.concatenate(found) if found else np.zeros((0, 1), np.float32)

    def embeddings(self, images: Sequence[bytes]) -> Floats:
        """Embeddings of encoded photographs, each of length 1; float32 [N, D]."""
        vectors = self._ask(EMBEDDING, EMBEDDING, images)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)

    def probabilities(self, images: Sequence[bytes]) -> Floats:
        """Probabilities of encoded photographs, float32 [N, K]."""
        probabilities: Floats = self._ask(SERVING_DEFAULT, PROBABILITIES, images)
        return probabilities

    def can_read(self, image: bytes) -> bool:
        """Whether the model can decode a photograph."""
        import tensorflow as tf

        try:
            self._ask(EMBEDDING, EMBEDDING, [image])
        except tf.errors.InvalidArgumentError:
            return False
        return True

    def _ask(self, signature: str, output: str, images: Sequence[bytes]) -> Any:
        import tensorflow as tf

        answers = self._loaded.signatures[signature](image_bytes=tf.constant(list(images)))
        return answers[output].numpy()


def distances(of: Floats, others: Floats, nearest: int) -> Floats:
    """How far photographs are from the k-th nearest of others, from 0 to 2; float32 [N].

    1 less the cosine of the angle between the embeddings.

    Args:
        of: Embeddings of length 1, float32 [N, D].
        others: float32 [M, D].
        nearest: k; a photograph that is among the others has itself as its first.
    """
    k = min(nearest, len(others)) - 1
    rows = [
        np.partition(np.maximum(1 - part @ others.T, 0), k, axis=1)[:, k]
        for part in np.array_split(of, -(-len(of) // 1024) or 1)
    ]
    return np.concatenate(rows)

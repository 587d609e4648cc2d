"""A head on a frozen backbone's features, trained with noise: views of photographs, and dropout."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.drift_flowers import WEIGHTS
from components.train.augmentation import build_augmentation
from components.train.augmentation.settings import AugmentationSettings
from components.train.augmentation.stateless_random import StatelessRandom

BATCH, STEPS, RATE = 128, 600, 3e-3
_DECAYS = (0.9, 0.999)

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]


class Views(NamedTuple):
    """Features of photographs.

    Attributes:
        plain: Of each as a model is asked about it, float32 [N, D].
        noisy: Of augmented views of each, float32 [V, N, D].
    """

    plain: Floats
    noisy: Floats


def views_of(
    pixels: npt.NDArray[np.uint8], side: int, augmentation: Mapping[str, Any], count: int
) -> Views:
    """Computes features, with the train step's augmentation.

    Args:
        pixels: uint8 [N, H, W, 3], larger than `side` by the crop's margin.
        side: Height and width of what the network sees.
        augmentation: As in `train.augmentation`.
        count: V.
    """
    import keras
    import tensorflow as tf

    network = keras.applications.MobileNetV2(
        (side, side, 3), 0.35, include_top=False, weights=str(WEIGHTS), pooling="avg"
    )
    augment = build_augmentation(AugmentationSettings.model_validate(augmentation))
    room = pixels.shape[1] - side

    @tf.function  # type: ignore[untyped-decorator]
    def features(images: Any) -> Any:
        return network(tf.cast(images, tf.float32) / 127.5 - 1, training=False)

    def of(view: int | None) -> Floats:
        found = []
        generator = np.random.default_rng(view)
        for start in range(0, len(pixels), BATCH):
            some = pixels[start : start + BATCH]
            corners = np.full((len(some), 2), room // 2)
            if view is not None:
                corners = generator.integers(0, room + 1, (len(some), 2))
            images = np.stack(
                [
                    image[top : top + side, left : left + side]
                    for image, (top, left) in zip(some, corners, strict=True)
                ]
            )
            if view is not None:
                positions = tf.range(start, start + len(some), dtype=tf.int64)
                draws = StatelessRandom(view, positions, BATCH)
                images, _ = augment(tf.constant(images), tf.zeros([len(some), 1]), draws)
            found.append(features(images).numpy())
        return np.concatenate(found)

    return Views(of(None), np.stack([of(view) for view in range(count)]))


class Noise(NamedTuple):
    """What a head is trained with.

    Attributes:
        views: Whether it sees the noisy views of photographs.
        dropout: Share of the features that are dropped.
    """

    views: bool
    dropout: float


class Head:
    """A softmax regression, trained by Adam with a cosine decay.

    Args:
        views: Of all photographs.
        places: Those to train on.
        labels: The label of each of those, below `count`.
        noise: What it is trained with.
        seed: Of order, views and dropout.
        count: Number of labels.
    """

    def __init__(
        self,
        views: Views,
        places: Places,
        labels: Places,
        noise: Noise,
        seed: int,
        count: int,
    ) -> None:
        generator = np.random.default_rng(seed)
        size = views.plain.shape[1]
        values = np.zeros((size + 1, count), np.float32)
        first, second = np.zeros_like(values), np.zeros_like(values)
        targets = np.eye(count, dtype=np.float32)
        for step in range(STEPS):
            chosen = generator.integers(0, len(places), BATCH)
            if noise.views:
                given = views.noisy[generator.integers(0, len(views.noisy), BATCH), places[chosen]]
            else:
                given = views.plain[places[chosen]]
            kept = generator.random(given.shape, np.float32) >= noise.dropout
            given = np.hstack([given * kept / (1 - noise.dropout), np.ones((BATCH, 1), np.float32)])
            error = _softmax(given @ values) - targets[labels[chosen]]
            gradient = given.T @ error / BATCH
            first += (1 - _DECAYS[0]) * (gradient - first)
            second += (1 - _DECAYS[1]) * (gradient**2 - second)
            rate = RATE * (1 + np.cos(np.pi * step / STEPS)) / 2
            ahead = [1 - decay ** (step + 1) for decay in _DECAYS]
            values -= rate * (first / ahead[0] / (np.sqrt(second / ahead[1]) + 1e-7))
        self._values = values

    def probabilities(self, features: Floats) -> Floats:
        """Probabilities of photographs, float32 [n, K]."""
        return _softmax(features @ self._values[:-1] + self._values[-1])


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)

"""Photographs to the embeddings of a frozen backbone."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from components.transform.moments import Array
from components.transform.settings import EmbeddingsSettings
from darkroom.backbones.preprocess import scaling
from darkroom.backbones.registry import build_backbone, pooled
from darkroom.errors import StepError


class Embedder:
    """A frozen backbone with its scaling and global average pooling, as `train` puts them."""

    def __init__(self, settings: EmbeddingsSettings, size: tuple[int, int]) -> None:
        self._backbone = settings.backbone
        self._call = _frozen(settings, size)

    def __call__(self, images: Array) -> Array:
        """Computes embeddings.

        Args:
            images: Pixels, uint8 [N, H, W, 3].

        Returns:
            Embeddings, float16 [N, D].

        Raises:
            StepError: A value is not a number, or beyond what float16 holds.
        """
        values = np.asarray(self._call(tf.constant(images)))
        # Half the bytes of float32; no backbone's average is near the 65,504 that it ends at.
        with np.errstate(over="ignore"):
            embeddings = values.astype("<f2")
        if not np.isfinite(embeddings).all():
            raise StepError(
                f"embeddings of {self._backbone} hold values that are not finite in float16: "
                "check transform.embeddings.weights"
            )
        return embeddings


def _frozen(settings: EmbeddingsSettings, size: tuple[int, int]) -> Callable[[tf.Tensor], Array]:
    """The network as a graph of its own, traced once for every number of images."""
    backbone = build_backbone(settings.backbone, size, settings.alpha, settings.weights)
    # Every network of `keras.applications` has a convention that needs no pixel statistics.
    scale = scaling(settings.backbone, [], [])
    pixels = keras.Input((*size, 3))
    network = keras.Model(pixels, pooled(backbone(scale(pixels))))
    signature = [tf.TensorSpec([None, *size, 3], tf.uint8)]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def embed(images: tf.Tensor) -> tf.Tensor:
        return network(tf.cast(images, tf.float32), training=False)

    result: Callable[[tf.Tensor], Array] = embed
    return result

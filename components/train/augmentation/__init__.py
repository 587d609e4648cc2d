"""Random changes to batches of training photographs, in tf.data: uint8 in, uint8 out.

They are part of the input pipeline and not of the network: an exported model does not contain
them, they run while the device trains, and XLA needs no image operations. Complete batches are
changed, in uint8 wherever possible, with as few passes over the pixels as possible. Most of Keras's
layers with the same names are at least three times as slow, and keep their random state in
variables, which a parallel `tf.data` reads in no reproducible order.
"""

from collections.abc import Callable
from typing import Any

from components.train.augmentation.colour import recolour
from components.train.augmentation.geometry import warp
from components.train.augmentation.mixing import cut_out, mask_grid, mix
from components.train.augmentation.rand_augment import apply_rand_augment
from components.train.augmentation.settings import AugmentationSettings
from components.train.augmentation.stateless_random import StatelessRandom

__all__ = ["Augment", "build_augmentation"]


Augment = Callable[[Any, Any, StatelessRandom], tuple[Any, Any]]
"""From (images uint8 [N, H, W, 3], labels float32 [N, K], draws) to (images, labels) like these."""


def build_augmentation(settings: AugmentationSettings) -> Augment:
    """Builds a function for `tf.data.Dataset.map`; without any settings it changes nothing."""
    import tensorflow as tf

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def augment(images: Any, labels: Any, draws: StatelessRandom) -> tuple[Any, Any]:
        # Geometry and colours first, before parts are hidden or blended.
        moved = settings.rotation or settings.translation or settings.zoom or settings.crop
        if settings.flip or moved:
            images = warp(
                *(images, draws),
                flip=settings.flip,
                rotation=settings.rotation,
                translation=settings.translation,
                zoom=settings.zoom,
                crop=settings.crop,
            )
        if settings.contrast or settings.brightness or settings.saturation:
            images = recolour(
                *(images, draws),
                contrast=settings.contrast,
                brightness=settings.brightness,
                saturation=settings.saturation,
            )
        if settings.rand_augment:
            images = apply_rand_augment(
                images, draws, settings.rand_augment, settings.rand_augment_magnitude
            )
        if settings.cutout:
            images = cut_out(images, draws, settings.cutout)
        if settings.grid_mask:
            images = mask_grid(images, draws, settings.grid_mask)
        if settings.mixup or settings.cutmix:
            images, labels = mix(images, labels, draws, settings.mixup, settings.cutmix)
        return images, labels

    result: Augment = augment
    return result

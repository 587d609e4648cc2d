"""Augmented photographs in a grid, for people to look at."""

from pathlib import Path
from typing import Any

from components.train.augmentation.augment import build_augmentation
from components.train.augmentation.draws import Draws
from components.train.augmentation_settings import AugmentationSettings


def sample_grid(
    images: Any, labels: Any, settings: AugmentationSettings, seed: int = 0, versions: int = 7
) -> Any:
    """Puts photographs one below the other, and beside each how training sees it.

    Args:
        images: Photographs, uint8 [N, H, W, 3]; as many rows.
        labels: Their labels, float32 [N, K].
        settings: The changes.
        seed: Seed of the changes.
        versions: Columns of changed photographs, after the first with the unchanged.

    Returns:
        The grid, a uint8 array [N * H, (1 + versions) * W, 3].
    """
    import tensorflow as tf

    photographs = tf.constant(images)
    count, height, width, _ = photographs.shape
    augment = build_augmentation(settings)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def changed(version: Any) -> Any:
        positions = version * count + tf.range(count, dtype=tf.int64)
        return augment(photographs, labels, Draws(seed, positions, count))[0]

    columns = [changed(tf.constant(version, tf.int64)) for version in range(versions)]
    grid = tf.stack([photographs, *columns], axis=2)
    return tf.reshape(grid, [count * height, (1 + versions) * width, 3]).numpy()


def write_png(image: Any, path: Path) -> None:
    """Writes uint8 [H, W, 3] as a PNG file."""
    import tensorflow as tf

    path.write_bytes(tf.io.encode_png(image).numpy())

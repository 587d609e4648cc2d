"""A backbone by its name."""

from pathlib import Path
from typing import Any

from darkroom.backbones.custom import build_custom
from darkroom.backbones.registry import backbones, check_image_size
from darkroom.backbones.weights import IMAGENET, RANDOM, load_weights


def build_backbone(
    name: str, image_size: tuple[int, int], alpha: float | None, weights: str
) -> Any:
    """Builds a network without its top.

    Args:
        name: A name in `backbones()`, or a `module:function` of the user's own.
        image_size: Height and width in pixels.
        alpha: Width multiplier, for the MobileNets.
        weights: `imagenet`, a path to a weights file, or `none` for random ones.

    Returns:
        A keras.Model from scaled float32 [N, H, W, 3] to a feature map float32 [N, h, w, D] or,
        where the network has no map, to an embedding float32 [N, D]; `pooled` takes both.

    Raises:
        SettingsError: The image is too small for the network, or the weights file does not exist.
        StepError: The weights do not fit the network or cannot be downloaded, or the user's own
            function is missing.
    """
    check_image_size(name, image_size)
    if name in backbones():
        network = backbones()[name].build(image_size, alpha, weights == IMAGENET)
    else:
        network = build_custom(name, image_size)
    if weights not in (RANDOM, IMAGENET):
        load_weights(network, name, Path(weights))
    return network


def pooled(features: Any) -> Any:
    """The embedding of a backbone's output: the average over its map, where it has one.

    Args:
        features: Symbolic float32 [N, h, w, D] or [N, D].

    Returns:
        Symbolic float32 [N, D], of a layer named `embedding`.
    """
    import keras

    is_map = len(features.shape) == 4
    layer = keras.layers.GlobalAveragePooling2D if is_map else keras.layers.Identity
    return layer(name="embedding")(features)

"""How a backbone wants its pixels scaled."""

from collections.abc import Callable, Sequence
from typing import Any

from darkroom.backbones.registry import backbones


def scaling(
    name: str,
    pixel_mean: Sequence[float],
    pixel_variance: Sequence[float],
    standardize: bool = False,
) -> Callable[[Any], Any]:
    """How a backbone wants its pixels scaled: the one place that knows.

    Args:
        name: A name in `backbones()`, or a `module:function` of the user's own.
        pixel_mean: Mean of the dataset's pixels by channel, 0 to 255.
        pixel_variance: Their variance.
        standardize: Whether to go by these two, as every backbone but those of
            `keras.applications` always does.

    Returns:
        A function from pixels 0 to 255, float32 [N, H, W, 3], to what the backbone takes: mean 0
        and variance 1 over the dataset, or else the convention of its `preprocess_input`.
    """
    import keras

    backbone = backbones().get(name)
    if standardize or backbone is None or backbone.preprocessing is None:
        # A dataset of one grey tone has no variance to divide by.
        variance = [max(value, 1.0) for value in pixel_variance]
        normalize: Callable[[Any], Any] = keras.layers.Normalization(
            mean=list(pixel_mean), variance=variance
        )
        return normalize
    module = getattr(keras.applications, backbone.preprocessing)
    preprocess_input: Callable[[Any], Any] = module.preprocess_input
    return preprocess_input

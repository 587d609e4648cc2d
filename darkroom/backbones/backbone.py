"""The record of a backbone: what its module states of it, and all that others know of it."""

import dataclasses
from collections.abc import Callable
from typing import Any

Build = Callable[[tuple[int, int], float | None, bool], Any]
"""Builds a network without its top from image size, width multiplier and whether it has its
ImageNet weights."""


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A network by name.

    Attributes:
        name: Its name in settings.
        build: Gives the keras.Model, from scaled float32 [N, H, W, 3] to a feature map float32
            [N, h, w, D] or to an embedding float32 [N, D].
        minimum_side: Pixels of the smallest side that it takes.
        preprocessing: The module of `keras.applications` whose `preprocess_input` scales its
            pixels; None: to mean 0 and variance 1 over the dataset.
        scales_within: Whether its own first layers scale its pixels.
        takes_alpha: Whether it has a width multiplier.
        has_imagenet: Whether it comes with ImageNet weights.
    """

    name: str
    build: Build
    minimum_side: int = 1
    preprocessing: str | None = None
    scales_within: bool = False
    takes_alpha: bool = False
    has_imagenet: bool = False


def from_scratch(
    name: str, build: Callable[[tuple[int, int]], Any], minimum_side: int = 1
) -> Backbone:
    """The record of a network that starts from random weights.

    Args:
        name: Its name in settings.
        build: Gives its keras.Model for an image size (height, width).
        minimum_side: Pixels of the smallest side that it takes.
    """
    return Backbone(name, lambda image_size, _alpha, _imagenet: build(image_size), minimum_side)

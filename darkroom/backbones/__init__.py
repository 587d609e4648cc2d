"""The backbones by name: networks without their top, their weights and how they scale pixels."""

from darkroom.backbones.build import build_backbone, pooled
from darkroom.backbones.keras_applications import (
    KERAS_APPLICATIONS,
    WITH_ALPHA,
    scales_within,
)
from darkroom.backbones.preprocess import scaling
from darkroom.backbones.registry import (
    FROM_SCRATCH,
    NAMES,
    SMALL_CNN,
    check_backbone,
    check_image_size,
)
from darkroom.backbones.weights import IMAGENET, RANDOM

__all__ = [
    "FROM_SCRATCH",
    "IMAGENET",
    "KERAS_APPLICATIONS",
    "NAMES",
    "RANDOM",
    "SMALL_CNN",
    "WITH_ALPHA",
    "build_backbone",
    "check_backbone",
    "check_image_size",
    "pooled",
    "scales_within",
    "scaling",
]

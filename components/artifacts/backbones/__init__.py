"""The backbones by name: networks without their top, their weights and how they scale pixels."""

from components.artifacts.backbones.building import build_backbone, pooled
from components.artifacts.backbones.keras_applications import (
    KERAS_APPLICATIONS,
    WITH_ALPHA,
    scales_within,
)
from components.artifacts.backbones.registry import (
    FROM_SCRATCH,
    NAMES,
    SMALL_CNN,
    check_backbone,
    check_image_size,
)
from components.artifacts.backbones.scaling import scaling
from components.artifacts.backbones.weights import IMAGENET, RANDOM

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

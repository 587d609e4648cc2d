"""Settings of the train step."""

from typing import Literal, Self

import pydantic

from components.artifacts.backbones import (
    IMAGENET,
    NAMES,
    RANDOM,
    SMALL_CNN,
    WITH_ALPHA,
    scales_within,
)
from components.artifacts.settings import Settings, nearest


class AugmentationSettings(Settings):
    """Random changes to training photographs; none by default."""

    flip: bool = False
    """Mirror left and right, every second time."""
    rotation: float = pydantic.Field(default=0.0, ge=0, le=0.5)
    """Largest rotation either way, as a part of a full turn."""
    translation: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Largest shift either way, as a part of the side."""
    zoom: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Largest zoom in or out, as a part of the side."""
    contrast: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Largest change of contrast, as a factor off 1."""


class TrainSettings(Settings):
    """What is trained, and how.

    With weights to start from, training has two phases: the new head on the frozen backbone for
    `epochs`, then the whole network, batch norm still frozen, for `fine_tune_epochs`. Without,
    the whole network is trained for `epochs`.
    """

    backbone: str = "MobileNetV2"
    """`small_cnn`, or a network of `keras.applications` by its name there."""
    alpha: float | None = pydantic.Field(default=None, gt=0)
    """Width multiplier of the MobileNets; unset: the network's own default."""
    weights: str = "imagenet"
    """`imagenet`, a path to a weights file without top, or `none` for random weights."""
    epochs: int = pydantic.Field(default=5, ge=1)
    """Epochs of the head, or of the whole network where there are no weights to start from."""
    fine_tune_epochs: int = pydantic.Field(default=0, ge=0)
    """Epochs of the whole network after the head's."""
    batch_size: int = pydantic.Field(default=32, ge=1)
    """Photographs a step, over all devices together."""
    learning_rate: float = pydantic.Field(default=1e-3, gt=0)
    """Peak learning rate of Adam in the first phase."""
    fine_tune_learning_rate: float = pydantic.Field(default=2e-4, gt=0)
    """Peak learning rate of Adam in the second phase."""
    label_smoothing: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Probability given to the labels a photograph does not have."""
    dropout: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Part of the embedding dropped before the head while training."""
    standardize: bool = False
    """Scale pixels by the photographs' own mean and variance by channel, as `small_cnn` always
    does, instead of by the backbone's convention: for photographs unlike ImageNet's (X-rays,
    spectra) and a backbone that starts from random weights."""
    augmentation: AugmentationSettings = AugmentationSettings()
    """Random changes to training photographs."""
    strategy: Literal["one_device", "mirrored"] = "one_device"
    """`one_device`, or `mirrored` over all GPUs of the machine."""
    seed: int = pydantic.Field(default=0, ge=0)
    """Seed of weights, shuffling, dropout and augmentation."""

    @pydantic.field_validator("backbone")
    @classmethod
    def _check_backbone(cls, name: str) -> str:
        if name not in NAMES:
            raise ValueError(f"unknown backbone{nearest(name, NAMES)}")
        return name

    @pydantic.field_validator("weights", mode="before")
    @classmethod
    def _null_is_none(cls, weights: object) -> object:
        # People write `null` in YAML, which a pipeline's parameters have no value for.
        return RANDOM if weights is None else weights

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.alpha is not None and self.backbone not in WITH_ALPHA:
            raise ValueError(f"alpha is for {', '.join(sorted(WITH_ALPHA))}, not {self.backbone}")
        if self.backbone == SMALL_CNN and self.weights == IMAGENET:
            raise ValueError("small_cnn has no imagenet weights: set weights to none or a path")
        if self.standardize and scales_within(self.backbone):
            raise ValueError(f"standardize is not for {self.backbone}, which scales pixels itself")
        return self

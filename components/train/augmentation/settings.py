"""Settings of the random changes to training photographs."""

import pydantic

from darkroom.settings import Settings


class AugmentationSettings(Settings):
    """Random changes to training photographs, in this order; none by default.

    They are drawn again for every photograph and epoch. The crop of `transform.crop_margin`, from
    photographs stored larger, comes first.
    """

    flip: bool = False
    """Mirror left and right, with probability 0.5."""
    rotation: float = pydantic.Field(default=0.0, ge=0, le=0.5)
    """Largest rotation either way, as a fraction of a full turn."""
    translation: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Largest shift either way, as a fraction of the side."""
    zoom: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Largest zoom in or out, as a fraction of the side."""
    crop: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Largest fraction of the side that a random crop removes; the rest is resized. Unlike
    `transform.crop_margin` it needs no larger photographs, but makes them less sharp."""
    contrast: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Largest change of contrast: 0.2 multiplies it by 0.8 to 1.2."""
    brightness: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Largest change of brightness either way, as a fraction of white."""
    saturation: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Largest change of saturation: 0.2 multiplies it by 0.8 to 1.2; 1 reaches grey."""
    rand_augment: int = pydantic.Field(default=0, ge=0, le=8)
    """Number of changes that RandAugment picks for a batch, with a random strength for each
    photograph; 2 is usual."""
    rand_augment_magnitude: float = pydantic.Field(default=0.3, gt=0, le=1)
    """Strength of RandAugment's strongest changes; 1 is 30 in the paper's count, 0.3 is 9."""
    cutout: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Longest side of the grey rectangle, as a fraction of the photograph's side."""
    grid_mask: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Side of GridMask's grey squares as a fraction of their distance; with probability 0.5."""
    mixup: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Alpha of mixup's beta distribution: photographs and their labels are blended in pairs,
    more evenly for larger values. With `cutmix`, each is applied to half of the batches."""
    cutmix: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Alpha of CutMix's beta distribution: a patch of one photograph is pasted into another, and
    their labels are mixed by its area. 1 makes all areas equally likely."""


NO_AUGMENTATION = AugmentationSettings()

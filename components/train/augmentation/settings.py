"""Settings of the random changes to training photographs."""

import pydantic

from darkroom.settings import Settings


class AugmentationSettings(Settings):
    """Random changes to training photographs, in this order; none by default.

    Every photograph draws its own, anew every epoch. `transform.crop_margin`'s crop comes first,
    from photographs stored larger.
    """

    flip: bool = False
    """Mirror left and right, every second time."""
    rotation: float = pydantic.Field(default=0.0, ge=0, le=0.5)
    """Largest rotation either way, as a part of a full turn."""
    translation: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Largest shift either way, as a part of the side."""
    zoom: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Largest zoom in or out, as a part of the side."""
    crop: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Largest part of the side that a random crop leaves out; what it keeps is resized. Unlike
    `transform.crop_margin` it needs no larger photographs, and makes what it keeps less sharp."""
    contrast: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Largest change of contrast, as a factor off 1."""
    brightness: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Largest change of brightness either way, as a part of white."""
    saturation: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Largest change of saturation, as a factor off 1; at 1, down to grey."""
    rand_augment: int = pydantic.Field(default=0, ge=0, le=8)
    """Changes that RandAugment picks for a batch from its list, each as strong as a photograph
    draws it; 2 is usual."""
    rand_augment_magnitude: float = pydantic.Field(default=0.3, gt=0, le=1)
    """Strength of RandAugment's strongest changes; 1 is 30 in the paper's count, 0.3 is 9."""
    cutout: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Longest side of the grey patch that hides a part, as a part of the photograph's side."""
    grid_mask: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Side of GridMask's grey squares as a part of their distance, every second time."""
    mixup: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Alpha of mixup's beta distribution: photographs and their labels are blended in pairs, the
    more evenly the nearer to 1. With `cutmix`, each gets every second batch."""
    cutmix: float = pydantic.Field(default=0.0, ge=0, le=1)
    """Alpha of CutMix's beta distribution: a patch of one photograph, and that part of its label,
    is put into another. 1 makes patches of all sizes equally likely."""


NO_AUGMENTATION = AugmentationSettings()

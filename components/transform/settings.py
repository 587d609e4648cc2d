"""Settings of the transform step."""

from typing import Literal, Self

import pydantic

from components.artifacts.settings import Settings


class TransformSettings(Settings):
    """How photographs become the pixels a model sees."""

    image_size: pydantic.PositiveInt | tuple[pydantic.PositiveInt, pydantic.PositiveInt] = 160
    """Pixels of each side, or `[height, width]`."""
    resize: Literal["stretch", "pad", "crop"] = "stretch"
    """`stretch` to the size, `pad` with black to keep the aspect, or `crop` the centre."""
    interpolation: Literal["nearest", "bilinear", "bicubic", "area", "lanczos3"] = "bilinear"
    """How pixels are made from their neighbours; all but `nearest` average when they reduce."""
    crop_margin: float = pydantic.Field(default=0.0, ge=0, le=0.5)
    """Part by which photographs are resized larger than `image_size`, to leave room for a crop.

    Training photographs are stored with it and cropped at random, anew every epoch; all others,
    and those that a model is asked about, are cropped to the centre.
    """
    beam_options: tuple[str, ...] = ()
    """Options for Beam in its own spelling, such as `--runner=DataflowRunner`."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        size = self.image_size
        return (size, size) if isinstance(size, int) else size

    @property
    def size_with_margin(self) -> tuple[int, int]:
        """Height and width in pixels before the crop, as training photographs are stored."""
        height, width = (round(side * (1 + self.crop_margin)) for side in self.size)
        return height, width

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if max(self.size) > 4096:
            raise ValueError("image_size is over 4096 pixels")
        return self

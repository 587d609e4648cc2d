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
    beam_options: tuple[str, ...] = ()
    """Options for Beam in its own spelling, such as `--runner=DataflowRunner`."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        size = self.image_size
        return (size, size) if isinstance(size, int) else size

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if max(self.size) > 4096:
            raise ValueError("image_size is over 4096 pixels")
        return self

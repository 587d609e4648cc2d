"""Settings of the transform step."""

from typing import Literal, Self

import pydantic

from darkroom.backbones.registry import backbones, check_backbone, check_options
from darkroom.backbones.weights import IMAGENET, RANDOM
from darkroom.settings import Settings


class EmbeddingsSettings(Settings):
    """The frozen backbone whose embeddings are written, under the same names as in `train`."""

    backbone: str = "MobileNetV2"
    """A network of `keras.applications` by its name there."""
    alpha: float | None = pydantic.Field(default=None, gt=0)
    """Width multiplier of the MobileNets; unset: the network's own default."""
    weights: str = IMAGENET
    """`imagenet`, or a path to a weights file without top, which every worker can read."""

    @pydantic.field_validator("backbone")
    @classmethod
    def _check_backbone(cls, name: str) -> str:
        known = backbones().get(check_backbone(name))
        if known is None or not known.has_imagenet:
            raise ValueError(
                "embeddings are for the networks of keras.applications: "
                "others scale pixels by all photographs' moments, which are known too late"
            )
        return name

    @pydantic.field_validator("weights")
    @classmethod
    def _check_weights(cls, weights: str) -> str:
        if weights == RANDOM:
            raise ValueError("embeddings of random weights teach nothing: set imagenet or a path")
        return weights

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        check_options(self.backbone, self.alpha, imagenet=False, standardize=False)
        return self


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

    Training photographs are stored with it and cropped at random, again every epoch; all others,
    and those that a model is asked about, are cropped to the centre.
    """
    embeddings: EmbeddingsSettings | None = None
    """Write embeddings instead of pixels: the fastest path to a first model.

    Every photograph passes the frozen backbone once, here, and `train` fits nothing but the head,
    in seconds an epoch: with the same backbone, and with neither augmentation nor fine-tuning.
    """
    beam_options: tuple[str, ...] = ()
    """Options for Beam in its own spelling, such as `--runner=DataflowRunner`."""
    data_root: str | None = pydantic.Field(default=None, min_length=1)
    """URI of a folder, such as `gs://my-bucket/darkroom`, in which the shards get a folder of their
    own; the artifact is then the manifest that names it. On a cluster: `cluster.data_root`. Unset:
    they are in the artifact."""

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
        if self.embeddings and self.crop_margin:
            raise ValueError("crop_margin is not for embeddings: no crop of them can be taken")
        return self

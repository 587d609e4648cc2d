"""The table of backbones, and what a name may be."""

import dataclasses
import re

from darkroom.backbones.keras_applications import KERAS_APPLICATIONS, minimum_side
from darkroom.errors import SettingsError
from darkroom.settings import nearest

SMALL_CNN = "small_cnn"


@dataclasses.dataclass(frozen=True)
class FromScratch:
    """A network that starts from random weights, on pixels of mean 0 and variance 1.

    Attributes:
        path: The function that builds it, as `module:function`.
        minimum: Pixels of the smallest side it takes.
    """

    path: str
    minimum: int


FROM_SCRATCH = {
    SMALL_CNN: FromScratch("darkroom.backbones.small_cnn:small_cnn", 1),
    "lenet5": FromScratch("darkroom.backbones.lenet5:lenet5", 16),
    "linear": FromScratch("darkroom.backbones.linear:linear", 1),
    "resnet34": FromScratch("darkroom.backbones.resnet34:resnet34", 32),
    "squeezenet": FromScratch("darkroom.backbones.squeezenet:squeezenet", 16),
}
"""The networks that Keras does not hold; a user's own is built as these are, by its path."""

NAMES = (*FROM_SCRATCH, *KERAS_APPLICATIONS)

_NAME = r"[A-Za-z_]\w*"
_OWN = re.compile(rf"{_NAME}(\.{_NAME})*:{_NAME}")


def is_own(name: str) -> bool:
    """Whether a backbone is a user's own, given as `module:function`."""
    return _OWN.fullmatch(name) is not None


def check_backbone(name: str) -> str:
    """Checks that a name stands in the table or has the form of a path.

    Raises:
        ValueError: It does neither; the nearest name is offered.
    """
    if ":" in name and not is_own(name):
        raise ValueError("a backbone of your own is given as my_package.my_module:my_function")
    if name not in NAMES and not is_own(name):
        raise ValueError(f"unknown backbone{nearest(name, NAMES)}")
    return name


def check_image_size(name: str, image_size: tuple[int, int]) -> None:
    """Checks that images are large enough for a backbone; a user's own checks for itself.

    Raises:
        SettingsError: They are not; what the smallest are.
    """
    if name in KERAS_APPLICATIONS:
        minimum = minimum_side(name)
    elif name in FROM_SCRATCH:
        minimum = FROM_SCRATCH[name].minimum
    else:
        return
    if min(image_size) < minimum:
        height, width = image_size
        raise SettingsError(
            f"train.backbone {name} takes images of at least {minimum}x{minimum} pixels, and "
            f"transform.image_size is {height}x{width}"
        )

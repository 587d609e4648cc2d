"""All backbones by name, found in the modules beside this one, and how one is built."""

import functools
import importlib
import pkgutil
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from darkroom.backbones.backbone import Backbone
from darkroom.backbones.custom import build_custom
from darkroom.backbones.weights import IMAGENET, RANDOM, load_weights
from darkroom.errors import SettingsError
from darkroom.settings import nearest

_NAME = r"[A-Za-z_]\w*"
_CUSTOM = re.compile(rf"{_NAME}(\.{_NAME})*:{_NAME}")


@functools.cache
def backbones() -> Mapping[str, Backbone]:
    """The records by name, those that start from random weights first.

    A module of this package that has `BACKBONES`, a sequence of records, adds them.
    """
    found: dict[str, Backbone] = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        loaded = importlib.import_module(f"{__package__}.{module.name}")
        for backbone in getattr(loaded, "BACKBONES", ()):
            if backbone.name in found:
                raise ValueError(f"two backbones are called '{backbone.name}'")
            found[backbone.name] = backbone
    return dict(sorted(found.items(), key=lambda item: (item[1].has_imagenet, item[0])))


def is_custom(name: str) -> bool:
    """Whether a backbone is a user's own, given as `module:function`."""
    return _CUSTOM.fullmatch(name) is not None


def check_backbone(name: str) -> str:
    """Checks that a name is in the table or has the form of a path.

    Raises:
        ValueError: It is neither; the nearest name is offered.
    """
    if ":" in name and not is_custom(name):
        raise ValueError("a backbone of your own is given as my_package.my_module:my_function")
    if name not in backbones() and not is_custom(name):
        raise ValueError(f"unknown backbone{nearest(name, backbones())}")
    return name


def check_options(name: str, alpha: float | None, imagenet: bool, standardize: bool) -> None:
    """Checks that a backbone has what settings ask of it.

    Args:
        name: Its name; a user's own has none of it.
        alpha: Width multiplier; None is the network's own default.
        imagenet: Whether its ImageNet weights are asked for.
        standardize: Whether its pixels are to be scaled by the dataset's mean and variance.

    Raises:
        ValueError: It has not.
    """
    backbone = backbones().get(name)
    if alpha is not None and not (backbone and backbone.takes_alpha):
        known = sorted(each.name for each in backbones().values() if each.takes_alpha)
        raise ValueError(f"alpha is for {', '.join(known)}, not {name}")
    if imagenet and not (backbone and backbone.has_imagenet):
        raise ValueError(f"{name} has no imagenet weights: set weights to none or a path")
    if standardize and backbone and backbone.scales_within:
        raise ValueError(f"standardize is not for {name}, which scales pixels itself")


def check_image_size(name: str, image_size: tuple[int, int]) -> None:
    """Checks that images are large enough for a backbone; a user's own checks for itself.

    Raises:
        SettingsError: They are not; what the smallest are.
    """
    backbone = backbones().get(name)
    if backbone is not None and min(image_size) < backbone.minimum_side:
        side = backbone.minimum_side
        height, width = image_size
        raise SettingsError(
            f"{name} takes images of at least {side}x{side} pixels, not of {height}x{width}"
        )


def build_backbone(
    name: str, image_size: tuple[int, int], alpha: float | None, weights: str
) -> Any:
    """Builds a network without its top.

    Args:
        name: A name in `backbones()`, or a `module:function` of the user's own.
        image_size: Height and width in pixels.
        alpha: Width multiplier, for the MobileNets.
        weights: `imagenet`, a path to a weights file, or `none` for random ones.

    Returns:
        A keras.Model from scaled float32 [N, H, W, 3] to a feature map float32 [N, h, w, D] or,
        where the network has no map, to an embedding float32 [N, D]; `pooled` takes both.

    Raises:
        SettingsError: The image is too small for the network, or the weights file does not exist.
        StepError: The weights do not fit the network or cannot be downloaded, or the user's own
            function is missing.
    """
    check_image_size(name, image_size)
    if name in backbones():
        network = backbones()[name].build(image_size, alpha, weights == IMAGENET)
    else:
        network = build_custom(name, image_size)
    if weights not in (RANDOM, IMAGENET):
        load_weights(network, name, Path(weights))
    return network


def pooled(features: Any) -> Any:
    """The embedding of a backbone's output: the average over its map, where it has one.

    Args:
        features: Symbolic float32 [N, h, w, D] or [N, D].

    Returns:
        Symbolic float32 [N, D], of a layer named `embedding`.
    """
    import keras

    is_map = len(features.shape) == 4
    layer = keras.layers.GlobalAveragePooling2D if is_map else keras.layers.Identity
    return layer(name="embedding")(features)

"""Weights of a backbone from a file."""

import re
import zipfile
from pathlib import Path
from typing import Any

from darkroom.errors import SettingsError, StepError

IMAGENET = "imagenet"
RANDOM = "none"

_KERAS_3_MISMATCH = re.compile(
    r"for object <\w+ name=([^,>]+).*?variable\.shape=(\(.*?\)), Received: value\.shape=(\(.*?\))",
    re.DOTALL,
)

Layers = list[tuple[str, list[tuple[int, ...]]]]


def load_weights(backbone: Any, name: str, path: Path) -> None:
    """Loads all weights of a network.

    Args:
        backbone: The keras.Model.
        name: Its name, for messages.
        path: A `.weights.h5`, `.h5` or `.keras` file.

    Raises:
        SettingsError: The file does not exist.
        StepError: It does not hold these weights; which layer and which shapes.
    """
    if not path.is_file():
        raise SettingsError(f"weights: the file {path} does not exist")
    try:
        backbone.load_weights(path)
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise StepError(
            f"weights: {path} does not fit {name} without its top "
            f"(is alpha the file's?): {_difference(error, backbone, path)}"
        ) from None


def one_line(error: BaseException) -> str:
    """An error's message on one line of bearable length."""
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:300]}..."


def _difference(error: Exception, backbone: Any, path: Path) -> str:
    """The first layer in which a network and a file differ, or else what Keras says."""
    if mismatch := _KERAS_3_MISMATCH.search(str(error)):
        layer, expected, found = mismatch.groups()
        return f"layer {layer} takes {expected}, the file has {found}"
    stored = _legacy_layers(path)
    if not stored:
        return one_line(error)
    layers = [(layer.name, [w.shape for w in layer.weights]) for layer in backbone.layers]
    weighted = [layer for layer in layers if layer[1]]
    for (layer, expected), (stored_as, found) in zip(weighted, stored, strict=False):
        if expected != found:
            return (
                f"layer {layer} takes {_said(expected)}, the file has {_said(found)} as {stored_as}"
            )
    if len(weighted) > len(stored):
        layer, expected = weighted[len(stored)]
        return f"layer {layer}, which takes {_said(expected)}, is not in the file"
    if len(stored) > len(weighted):
        layer, found = stored[len(weighted)]
        return f"the file also has a layer {layer} of {_said(found)}"
    return one_line(error)


def _legacy_layers(path: Path) -> Layers:
    """Names and shapes of a file of Keras 1 and 2, in which layers go by their order."""
    import h5py

    if not h5py.is_hdf5(path):
        return []
    with h5py.File(path) as file:
        group = file.get("model_weights", file)
        layers = []
        # Long lists of names are stored in pieces: layer_names0, layer_names1, ...
        for key in sorted(group.attrs, key=lambda key: (len(key), key)):
            if key.startswith("layer_names"):
                layers += [_text(name) for name in group.attrs[key]]
        stored = [(name, [group[name][w].shape for w in _names(group[name])]) for name in layers]
    return [layer for layer in stored if layer[1]]


def _names(layer: Any) -> list[str]:
    return [_text(name) for name in layer.attrs.get("weight_names", [])]


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _said(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join(str(tuple(shape)) for shape in shapes)

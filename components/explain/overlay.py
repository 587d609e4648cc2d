"""A photograph with what an answer follows from."""

import numpy as np

from components.explain.explained_model import Floats

_FOR, _AGAINST = (13, 140, 135), (180, 35, 24)
"""Colours of what speaks for the label and of what speaks against it."""
_PERCENTILE = 99.0
"""Attributions from here on are shown at their strongest, so that one pixel does not hide all."""
_STRONGEST = 0.75
_SHOWN = 224
"""Longer side of an overlay in the report, in pixels."""
_SMOOTHED = 1 / 64
"""Of single pixels' attributions the neighbourhood counts, this fraction of the side wide."""


def overlay(pixels: Floats, values: Floats) -> bytes:
    """Draws attributions over the photograph in grey, as a PNG.

    Args:
        pixels: The photograph, float32 [H, W, 3] from 0 to 255.
        values: What each pixel adds, float32 [H, W].
    """
    import io

    from PIL import Image
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(values.astype(np.float64), min(values.shape) * _SMOOTHED)
    strongest = float(np.percentile(np.abs(smooth), _PERCENTILE)) or 1.0
    strength = np.clip(np.abs(smooth) / strongest, 0, 1)[..., np.newaxis] * _STRONGEST
    colour = np.where((smooth > 0)[..., np.newaxis], _FOR, _AGAINST)
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    drawn = (1 - strength) * grey[..., np.newaxis] + strength * colour
    encoded = io.BytesIO()
    Image.fromarray(np.clip(drawn, 0, 255).round().astype(np.uint8)).save(encoded, "PNG")
    return encoded.getvalue()


def as_data_uri(drawn: bytes) -> str:
    """A drawn overlay as a small data URI."""
    import base64
    import io

    from PIL import Image

    small = io.BytesIO()
    with Image.open(io.BytesIO(drawn)) as picture:
        picture.thumbnail((_SHOWN, _SHOWN))
        picture.save(small, "WEBP", quality=80)
    return "data:image/webp;base64," + base64.b64encode(small.getvalue()).decode()

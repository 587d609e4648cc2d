"""What is measured of a photograph's greys: brightness, contrast, sharpness, perceptual hash."""

import dataclasses

import numpy as np
import numpy.typing as npt
from PIL import Image

from darkroom.images.copy_hashes import copy_hashes, perceptual_hash

_SHORTER_SIDE_MEASURED = 64
"""Brightness and hash are of about this size, so that large ones cost no more than small ones."""

_SHARPNESS_LINES = 128
"""Lines at which sharpness is measured, at most: of a larger photograph every n-th."""


@dataclasses.dataclass(frozen=True)
class Measures:
    """What is measured.

    Attributes:
        brightness: Mean grey value, 0 to 255.
        contrast: Standard deviation of the grey values, 0 to 127.5.
        sharpness: Variance of the Laplacian of the grey values; low where out of focus.
        perceptual_hash: 64 bits that copies share, re-encoded or resized ones too, in hexadecimal.
        copy_hashes: What that hash is of other copies, one after the other, in hexadecimal.
    """

    brightness: float
    contrast: float
    sharpness: float
    perceptual_hash: str
    copy_hashes: str


def measure(pixels: npt.NDArray[np.uint8]) -> Measures:
    """Measures a grey image.

    Args:
        pixels: Its grey values, [h, w].
    """
    grey = Image.fromarray(pixels)
    small = grey.reduce(max(1, min(grey.size) // _SHORTER_SIDE_MEASURED))
    values = np.asarray(small, np.float64)
    brightness, contrast = _brightness_and_contrast(values)
    return Measures(
        brightness=brightness,
        contrast=contrast,
        sharpness=_sharpness(pixels),
        perceptual_hash=perceptual_hash(small).tobytes().hex(),
        copy_hashes=copy_hashes(values).tobytes().hex(),
    )


def _brightness_and_contrast(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation of grey values; their sums are whole numbers, and exact."""
    flat = values.ravel()
    total, squares = float(flat.sum()), float(flat @ flat)
    return total / flat.size, max(0.0, squares * flat.size - total * total) ** 0.5 / flat.size


def _sharpness(pixels: npt.NDArray[np.uint8]) -> float:
    """Variance of the Laplacian, after Pech-Pacheco et al., ICPR 2000, of pixels at full size."""
    if min(pixels.shape) < 3:
        return 0.0
    step = -(-(len(pixels) - 2) // _SHARPNESS_LINES)
    # Widened once: arithmetic of two types goes by way of a buffer, in twice the time.
    every = (pixels[:-2:step], pixels[1:-1:step], pixels[2::step])
    above, lines, below = (part.astype(np.int16) for part in every)
    laplacian = above[:, 1:-1] + below[:, 1:-1]
    laplacian += lines[:, :-2]
    laplacian += lines[:, 2:]
    laplacian -= lines[:, 1:-1] << 2
    # numpy's own variance would make three arrays of doubles, in twice the time.
    flat = laplacian.astype(np.float32).ravel()
    mean = float(flat.sum()) / flat.size
    return max(0.0, float(flat @ flat) / flat.size - mean * mean)

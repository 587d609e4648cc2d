"""Perceptual hashes of a photograph and of what its copies may be: mirrored, cropped, unbordered.

The hash is the DCT hash of imagehash, to the bit for the photograph itself; those of its copies
are computed at once, by two products of matrices. How many copies of each kind are found:
docs/ingest.md.
"""

import functools
import itertools

import numpy as np
import numpy.typing as npt
from PIL import Image

HASH_BYTES = 8
_SIDE, _FREQUENCIES = 32, 8
_CROP = 0.05
"""Share of a side that a crop lacks."""
_SPANS = (
    (0.0, 1.0),
    (_CROP, 1 - _CROP),
    (_CROP / 2, 1 - _CROP / 2),
    (_CROP, 1.0),
    (0.0, 1 - _CROP),
)
"""What is left of a side: all; less of both ends; less of one end."""
_CROPPED_ROWS, _CROPPED_COLUMNS = zip(
    (1, 1), (2, 2), *list(itertools.product((0, 3, 4), repeat=2))[1:], strict=True
)
"""Crops, as spans of the rows and of the columns."""
_FLAT, _MOST_BORDER = 6.0, 0.25
"""Standard deviation of a border's line, at most, in grey values; share of a side, at most."""

Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint8]


def perceptual_hash(grey: Image.Image) -> Hashes:
    """The DCT hash of imagehash, whose own function takes three times as long.

    Args:
        grey: The photograph, of some 64 pixels a side.

    Returns:
        uint8 [8].
    """
    small = np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float64)
    spectrum = _frequencies() @ small @ _frequencies().T
    hashes: Hashes = _bits(spectrum.reshape(1, -1))[0]
    return hashes


def copy_hashes(values: Floats) -> Hashes:
    """Hashes of what a photograph's copies may be.

    Args:
        values: Grey values of the photograph, [h, w], of some 64 pixels a side.

    Returns:
        uint8 [N, 8]: without a border, mirrored, mirrored without a border, and then the crops.
    """
    height, width = values.shape
    spectra = _operators(height) @ values @ _operators(width).T
    blocks = spectra.reshape(len(_SPANS), _FREQUENCIES, len(_SPANS), _FREQUENCIES).swapaxes(1, 2)
    whole = blocks[0, 0]
    inner = whole
    top, bottom, left, right = border(values)
    if top + bottom + left + right:
        core = values[top : height - bottom, left : width - right]
        inner = _operators(core.shape[0])[:_FREQUENCIES] @ core
        inner = inner @ _operators(core.shape[1])[:_FREQUENCIES].T
    copies = np.stack((inner, whole * _MIRROR, inner * _MIRROR))
    crops = blocks[_CROPPED_ROWS, _CROPPED_COLUMNS]
    return _bits(np.concatenate((copies, crops)).reshape(-1, _FREQUENCIES**2))


def _bits(spectra: Floats) -> Hashes:
    """Which frequencies are over their median, [N, 64] to uint8 [N, 8]."""
    # A picture of one grey has none but for errors of rounding, which are no bits to go by.
    spectra = spectra.round(6)
    # The mean of the two in the middle is the median, which numpy's own function takes longer for.
    middle = spectra.shape[1] // 2
    ordered = np.partition(spectra, (middle - 1, middle), axis=1)
    median = (ordered[:, middle - 1 : middle] + ordered[:, middle : middle + 1]) / 2
    return np.packbits(spectra > median, axis=1)


_MIRROR = (-1.0) ** np.arange(_FREQUENCIES)


def border(values: Floats) -> tuple[int, int, int, int]:
    """Lines of one grey at the top, bottom, left and right.

    Args:
        values: Grey values, [h, w].
    """
    edges = (values[0], values[-1], values[:, 0], values[:, -1])
    if not any(_is_flat(edge) for edge in edges):  # as most photographs
        return 0, 0, 0, 0
    sides = []
    for axis in (1, 0):
        deviations, means = values.std(axis=axis), values.mean(axis=axis)
        for order in (slice(None), slice(None, None, -1)):
            line, mean = deviations[order], means[order]
            most = int(len(line) * _MOST_BORDER)
            same = (line[:most] < _FLAT) & (np.abs(mean[:most] - mean[0]) < 1.5 * _FLAT)
            sides.append(most if same.all() else int(same.argmin()))
    return sides[0], sides[1], sides[2], sides[3]


def _is_flat(line: Floats) -> bool:
    """Whether a line is of one grey; numpy's own deviation takes five times as long."""
    total = float(line.sum())
    return float(line @ line) * line.size - total * total < (_FLAT * line.size) ** 2


@functools.lru_cache(maxsize=4096)
def _operators(length: int) -> Floats:
    """From a line of pixels to the lowest frequencies of each span of it, [spans * 8, length]."""
    return np.concatenate([_frequencies() @ _resampling(length, *span) for span in _SPANS])


@functools.cache
def _frequencies() -> Floats:
    """The lowest rows of the discrete cosine transform, type 2, [8, 32]."""
    places, orders = np.arange(_SIDE), np.arange(_FREQUENCIES)[:, np.newaxis]
    return np.asarray(2 * np.cos(np.pi * orders * (2 * places + 1) / (2 * _SIDE)))


def _resampling(length: int, low: float, high: float) -> Floats:
    """Averages a span of a line into 32 parts of equal length, [32, length]."""
    edges = np.linspace(low * length, high * length, _SIDE + 1)[:, np.newaxis]
    pixels = np.arange(length)
    overlap = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    weights = np.maximum(overlap, 0.0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))

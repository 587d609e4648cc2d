"""Digits as the world shows them: as they were learned, and as another device scans them."""

import dataclasses
import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

LEARNED = 900
"""Digits of scikit-learn's 1,797 that the first model is trained on; the world shows the others."""
_ANGLE = 25
"""Degrees that the new device turns digits by."""
_LIGHT = 0.6
"""How bright it is, of 1."""


@dataclasses.dataclass(frozen=True)
class Photograph:
    """A photograph that the world shows.

    Attributes:
        content: Its file.
        label: What it shows, which the model is not told.
    """

    content: bytes
    label: str

    @property
    def image_id(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.content).hexdigest()


class World:
    """What is shown, window by window.

    Args:
        folder: Where the digits that are learned are written, a folder a label.
    """

    def __init__(self, folder: Path) -> None:
        from sklearn.datasets import load_digits

        digits = load_digits()
        order = np.random.default_rng(0).permutation(len(digits.images))
        self._images = [(digits.images[place] / 16 * 255).astype(np.uint8) for place in order]
        self._labels = [str(digits.target[place]) for place in order]
        for place in range(LEARNED):
            file = folder / self._labels[place] / f"{place:04d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(_png(self._images[place]))

    def as_learned(self, first: int, count: int) -> list[Photograph]:
        """Digits like those that were learned, none of which was.

        Args:
            first: The first of them, from 0.
            count: How many.
        """
        return [
            Photograph(_png(self._images[place]), self._labels[place])
            for place in self._shown(first, count)
        ]

    def of_new_device(self, first: int, count: int) -> list[Photograph]:
        """The same digits turned, darker, and dark on light in place of light on dark."""
        return [
            Photograph(_png(_scanned(self._images[place])), self._labels[place])
            for place in self._shown(first, count)
        ]

    @property
    def count(self) -> int:
        """How many digits there are to show."""
        return len(self._images) - LEARNED

    def mostly(self, labels: Sequence[str], windows: int, count: int) -> Iterator[list[Photograph]]:
        """Windows of the new device's digits, three in four of which are of some labels.

        Args:
            labels: These labels.
            windows: How many windows.
            count: How many digits each has, none of them twice; another window may show it too.
        """
        shown = self.of_new_device(0, self.count)
        wanted = [each for each in shown if each.label in labels] * windows
        others = [each for each in shown if each.label not in labels]
        of_wanted = count * 3 // 4
        for window in range(windows):
            first, rest = window * of_wanted, window * (count - of_wanted)
            yield wanted[first : first + of_wanted] + others[rest : rest + count - of_wanted]

    def _shown(self, first: int, count: int) -> Iterator[int]:
        begin = LEARNED + first
        if begin + count > len(self._images):
            raise ValueError(f"the world has {self.count} digits to show")
        yield from range(begin, begin + count)


def _scanned(image: "np.typing.NDArray[np.uint8]") -> "np.typing.NDArray[np.uint8]":
    from PIL import Image

    large = Image.fromarray(image).resize((24, 24), Image.Resampling.BILINEAR)
    turned = large.rotate(_ANGLE, Image.Resampling.BILINEAR).resize((8, 8))
    return ((255 - np.asarray(turned)) * _LIGHT).astype(np.uint8)


def _png(image: "np.typing.NDArray[np.uint8]") -> bytes:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()

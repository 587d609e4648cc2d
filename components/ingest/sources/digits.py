"""scikit-learn's handwritten digits as a folder of label folders."""

from pathlib import Path

DIGITS = "sklearn:digits"


def write_digits(folder: Path) -> None:
    """Writes the 1,797 digits as 8x8 grey PNG files, `<folder>/<digit>/<number>.png`."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    # Pixels come as 0 to 16; the brightest must stay a byte.
    pixels = np.minimum(digits.images * 16, 255).astype(np.uint8)
    for number, (image, digit) in enumerate(zip(pixels, digits.target, strict=True)):
        path = folder / str(digit) / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)

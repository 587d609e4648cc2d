"""Small pictures and tables to ingest."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def gradient(seed: int = 0, size: tuple[int, int] = (24, 16), mode: str = "RGB") -> Image.Image:
    """A smooth colourful picture, different for every seed, that JPEG keeps well."""
    width, height = size
    generator = np.random.default_rng(seed)
    corners = generator.integers(0, 256, (2, 2, 3)).astype(np.uint8)
    image = Image.fromarray(corners).resize((width, height), Image.Resampling.BILINEAR)
    return image.convert(mode)


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=file_format, **options)
    return buffer.getvalue()


def write_csv(path: Path, rows: Sequence[Mapping[str, str]], encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path

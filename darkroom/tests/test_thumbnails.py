"""Thumbnails of every kind of image, and of what is none."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from darkroom.thumbnails import thumbnail

SIDE = 112


def encoded(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def shown(image_bytes: bytes) -> Image.Image:
    uri = thumbnail(image_bytes, SIDE)
    assert uri is not None
    start = "data:image/jpeg;base64,"
    assert uri.startswith(start)
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix(start))))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode_keeps_its_brightness(mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((300, 200), 0x8000, np.uint16))
    else:
        image = Image.new("RGB", (200, 300), (128, 128, 128)).convert(mode)
    picture = shown(encoded(image, "TIFF" if mode == "CMYK" else "PNG"))
    assert picture.mode == "RGB"
    assert max(picture.size) == SIDE
    assert picture.height / picture.width == pytest.approx(1.5, rel=0.02)
    if mode != "1":
        assert abs(np.asarray(picture).mean() - 128) < 4


def test_what_is_transparent_is_white() -> None:
    picture = shown(encoded(Image.new("RGBA", (20, 10))))
    assert np.asarray(picture).min() >= 250


def test_they_stand_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = shown(encoded(Image.new("RGB", (300, 200)), "JPEG", exif=exif))
    assert picture.height > picture.width


def test_pixels_of_small_images_show() -> None:
    pixels = np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8)
    picture = np.asarray(shown(encoded(Image.fromarray(pixels)))).mean(axis=2)
    assert picture.shape == (SIDE, SIDE)
    assert np.abs(picture[7::14, 7::14] - pixels).max() < 8


def test_broken_images_have_none() -> None:
    cut_off = encoded(Image.effect_noise((300, 300), 50), "JPEG")[:200]
    assert [thumbnail(image, SIDE) for image in (b"", b"not an image", cut_off)] == [None] * 3


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert thumbnail(encoded(Image.new("L", (300, 300))), SIDE) is None

"""Small pictures for the data card, as data URIs."""

import base64
import io

from PIL import Image, ImageOps

SIDE = 112
"""Longer side in pixels. Some 3 KB each: the card's 300 stay within its 3 MB."""


def thumbnail(image_bytes: bytes) -> str | None:
    """A small upright JPEG of an encoded image; None where Pillow cannot read it.

    Images of a few pixels, such as 8 x 8 digits, are enlarged so that their pixels show.
    """
    try:
        with Image.open(io.BytesIO(image_bytes)) as image:
            image.draft("RGB", (SIDE, SIDE))
            picture = _on_white(ImageOps.exif_transpose(image))
    except (OSError, ValueError, SyntaxError, EOFError, IndexError):
        return None
    scale = SIDE // max(picture.size)
    if scale > 1:
        size = (picture.width * scale, picture.height * scale)
        picture = picture.resize(size, Image.Resampling.NEAREST)
    else:
        picture.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=70)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _on_white(image: Image.Image) -> Image.Image:
    """The colours, with white where the image is transparent."""
    if image.mode in ("L", "RGB"):
        return image.convert("RGB")
    if image.mode.startswith("I"):  # 16 bits, which `convert` would cut off at 255
        image = image.point(lambda value: value / 256).convert("L")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")

"""Small pictures for the pages that steps write, as data URIs."""

import base64
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


def thumbnail(image_bytes: bytes, side: int) -> str | None:
    """A small upright JPEG of an encoded image; None where Pillow cannot read it.

    Images of a few pixels, such as 8 x 8 digits, are enlarged so that their pixels show.

    Args:
        image_bytes: The encoded image.
        side: The thumbnail's longer side in pixels. At 112, a photograph takes some 3 KB.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(image_bytes)) as image:
            image.draft("RGB", (2 * side, 2 * side))
            picture = _on_white(ImageOps.exif_transpose(image))
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        IndexError,
        Image.DecompressionBombError,
    ):
        return None
    scale = side // max(picture.size)
    if scale > 1:
        size = (picture.width * scale, picture.height * scale)
        picture = picture.resize(size, Image.Resampling.NEAREST)
    else:
        picture.thumbnail((side, side))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=75)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _on_white(image: "Image.Image") -> "Image.Image":
    """The colours, with white where the image is transparent."""
    from PIL import Image

    if image.mode in ("L", "RGB"):
        return image.convert("RGB")
    if image.mode.startswith("I"):  # 16 bits, which `convert` would cut off at 255
        image = image.point(lambda value: value / 256).convert("L")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")

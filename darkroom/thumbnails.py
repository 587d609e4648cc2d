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
    from PIL import Image

    try:
        with Image.open(io.BytesIO(image_bytes)) as image:
            image.draft("RGB", (2 * side, 2 * side))
            picture = _on_white(upright(image))
    except Exception:
        # Decoders raise what they like, and a page without one picture is still a page.
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


def upright(image: "Image.Image") -> "Image.Image":
    """The pixels as a person sees them, by the EXIF orientation.

    EXIF itself is only read: Pillow's own function writes it again, and fails where a camera wrote
    a value of the wrong type.
    """
    from PIL import ExifTags, Image

    by_orientation = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    transposition = by_orientation.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return image if transposition is None else image.transpose(transposition)


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

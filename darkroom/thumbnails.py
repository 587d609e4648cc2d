"""Small pictures for the pages that steps write, as data URIs."""

import base64
import io

from darkroom.pixels import as_seen


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
            picture = as_seen(image).convert("RGB")
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

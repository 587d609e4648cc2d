"""Pixels as a person sees them: upright, on white, of 8 bits; decoded by Pillow.

A model does the same to what it is sent, with TensorFlow's operations (components/transform).
"""

import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

_TIFF_BITS = 258


def orientation(image: "Image.Image") -> int:
    """The EXIF orientation, 1 to 8; 1 where EXIF does not state it, or cannot be read.

    EXIF is only read: Pillow's own function writes it again, and fails where a camera wrote a
    value of the wrong type. XMP, which Pillow asks too, is ignored as browsers do.
    """
    from PIL import ExifTags, Image

    try:
        if image.format == "TIFF":
            found: Any = image.getexif().get(ExifTags.Base.Orientation)
        elif block := image.info.get("exif"):
            exif = Image.Exif()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exif.load(block)
            found = exif.get(ExifTags.Base.Orientation)
        else:
            found = None
    except Exception:
        # Parsers raise what they like, and the pixels are none the worse for it.
        found = None
    if isinstance(found, bytes) and len(found) == 1:  # written as a byte, not as a short
        found = found[0]
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def as_seen(image: "Image.Image") -> "Image.Image":
    """An image upright, on white, in 8 bits a channel.

    Raises:
        ValueError: Deep greys without a range, as `eight_bit` says.
    """
    # What has been calculated has lost the metadata.
    return _turned(on_white(eight_bit(image)), orientation(image))


def upright(image: "Image.Image") -> "Image.Image":
    """An image as its camera was held, by the EXIF orientation."""
    return _turned(image, orientation(image))


def _turned(image: "Image.Image", stated: int) -> "Image.Image":
    from PIL import Image

    by_orientation = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    transposition = by_orientation.get(stated)
    return image if transposition is None else image.transpose(transposition)


def on_white(image: "Image.Image") -> "Image.Image":
    """The colours over white, as every viewer shows what is transparent.

    An image without transparent pixels is returned as it is.
    """
    import numpy as np
    from PIL import Image

    if not image.has_transparency_data:
        return image
    rgba = np.asarray(image.convert("RGBA"))
    opacity = rgba[..., 3:].astype(np.uint16)
    if opacity.min(initial=255) == 255:
        return image
    over = rgba[..., :3] * opacity + 255 * (255 - opacity)
    return Image.fromarray(((over + 127) // 255).astype(np.uint8))


def eight_bit(image: "Image.Image") -> "Image.Image":
    """Brings deep greys to 0 to 255 by one rule a format, whatever values a photograph has.

    Whole numbers of 16 bits (of 12 in some TIFFs) keep their upper 8; floats are from 0 to 1.

    Raises:
        ValueError: Floats beyond 0 to 1, or whole numbers of 32 bits, which have no range.
    """
    import numpy as np
    from PIL import Image

    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    if image.mode == "F":
        # A comparison with what is not a number is false.
        if not (values.min(initial=0) >= 0 and values.max(initial=0) <= 1):
            raise ValueError("greys are floats beyond 0 to 1: scale them, or save 8 or 16 bits")
        return Image.fromarray(np.rint(values * 255).astype(np.uint8))
    if image.mode == "I" and image.format != "PPM":
        raise ValueError("greys are of 32 bits, which have no range: save 8 or 16 bits")
    bits = _bits(image)
    return Image.fromarray((values.astype(np.int32) >> (bits - 8)).astype(np.uint8))


def _bits(image: "Image.Image") -> int:
    """Bits a grey; Pillow scales those of other formats than TIFF to 16."""
    if image.format != "TIFF":
        return 16
    stated = getattr(image, "tag_v2", {}).get(_TIFF_BITS, (16,))
    return int(stated[0] if isinstance(stated, tuple) else stated)

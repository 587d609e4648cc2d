"""Pixels as a person sees them: upright, on white, of 8 bits; decoded by Pillow.

A model does the same to what it is sent, with TensorFlow's operations (components/transform).
"""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL import Image

_TIFF_BITS, _ORIENTATION = 258, 274
_BYTE_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
_SIZE_BY_TYPE = {1: 1, 3: 2, 4: 4, 7: 1}
"""Bytes of TIFF's whole numbers, and of a byte without a type."""


def orientation(image: "Image.Image") -> int:
    """The EXIF orientation, 1 to 8; 1 where EXIF does not state it, or cannot be read.

    XMP, which Pillow's own functions ask too, is ignored as browsers do.
    """
    if image.format != "TIFF":
        return exif_orientation(image.info.get("exif") or b"")
    try:
        found = image.getexif().get(_ORIENTATION)
    except Exception:
        # Its parser raises what it likes, and the pixels are none the worse for it.
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def exif_orientation(block: bytes) -> int:
    """The orientation that an EXIF block states, 1 to 8; 1 where it states none.

    Pillow's parser gives up on blocks of which any entry is wrong, as some cameras and editors
    write them. Format: EXIF 2.32 (JEITA CP-3451).
    """
    tiff = block.removeprefix(b"Exif\0\0")
    order = _BYTE_ORDERS.get(tiff[:4])
    if order is None:
        return 1
    start = int.from_bytes(tiff[4:8], order)
    count = int.from_bytes(tiff[start : start + 2], order)
    entries = [tiff[at : at + 12] for at in range(start + 2, start + 2 + 12 * count, 12)]
    stated = [
        entry
        for entry in entries
        if len(entry) == 12 and int.from_bytes(entry[:2], order) == _ORIENTATION
    ]
    if not stated:
        return 1
    entry = stated[-1]
    size = _SIZE_BY_TYPE.get(int.from_bytes(entry[2:4], order))
    if size is None or int.from_bytes(entry[4:8], order) != 1:
        return 1
    value = int.from_bytes(entry[8 : 8 + size], order)
    return value if 1 <= value <= 8 else 1


def as_seen(image: "Image.Image") -> "Image.Image":
    """An image upright, on white, in 8 bits a channel.

    Raises:
        ValueError: Deep greys without a range, as `eight_bit` says.
    """
    image.load()  # a PNG's EXIF may stand after its pixels
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

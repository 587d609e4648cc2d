"""From a file's bytes to a photograph that every later step decodes upright, or a reason."""

import dataclasses
import io
from typing import Any

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from components.ingest.rejection import Reason, RejectedError

_JPEG_MAGIC = b"\xff\xd8\xff"
_JPEG_QUALITY = 95
_LOSSLESS_FORMATS = frozenset({"PNG", "GIF", "BMP", "TIFF"})

_KEPT_MODES = {
    "JPEG": frozenset({"L", "RGB"}),
    "PNG": frozenset({"1", "L", "LA", "P", "RGB", "RGBA"}),
    "GIF": frozenset({"L", "P", "RGB", "RGBA"}),
    "BMP": frozenset({"RGB"}),
}
"""Formats and Pillow modes that TensorFlow's decoder reads as Pillow does; others are converted."""


@dataclasses.dataclass(frozen=True)
class Photograph:
    """An image that was decoded whole.

    Attributes:
        image_bytes: Encoded bytes, as they came or converted.
        height: Pixels.
        width: Pixels.
        file_format: Format it came in, such as `JPEG`.
        converted: Whether the bytes were encoded anew.
        brightness: Mean grey value, 0 to 255.
        sharpness: Variance of the Laplacian of the grey values; low where out of focus.
    """

    image_bytes: bytes
    height: int
    width: int
    file_format: str
    converted: bool
    brightness: float
    sharpness: float


def read_photograph(data: bytes) -> Photograph:
    """Decodes an image file's bytes once, and converts them where a later decoder could not.

    Args:
        data: The file's bytes.

    Raises:
        RejectedError: They hold no whole image.
    """
    if not data:
        raise RejectedError(Reason.EMPTY_FILE, "the file has no bytes")
    if data.startswith(_JPEG_MAGIC):
        photograph = _plain_jpeg(data)
        if photograph is not None:
            return photograph
    return _any_format(data)


def _plain_jpeg(data: bytes) -> Photograph | None:
    """The fast way for most photographs; None where the slow way has to look closer."""
    # An orientation, if any, stands in the metadata before the first scan.
    if b"Exif\0\0" in data[: 1 << 16] and _orientation(data) != 1:
        return None
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
        if colorspace in ("CMYK", "YCCK") or not height or not width:
            return None
        grey = simplejpeg.decode_jpeg(data, colorspace="GRAY")[:, :, 0]
    except ValueError:
        return None
    return Photograph(data, height, width, "JPEG", False, *_grey_statistics(grey))


def _orientation(data: bytes) -> int:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (OSError, ValueError, TypeError, SyntaxError):
        return 0


def _any_format(data: bytes) -> Photograph:
    image = _decoded(data)
    file_format = str(image.format)
    upright = ImageOps.exif_transpose(image)
    keep = upright.size == image.size and image.mode in _KEPT_MODES.get(file_format, ())
    keep = keep and image.getexif().get(ExifTags.Base.Orientation, 1) == 1
    image_bytes = data if keep else _encoded(upright, file_format)
    grey = np.asarray(_eight_bit(upright).convert("L"))
    height, width = grey.shape
    return Photograph(image_bytes, height, width, file_format, not keep, *_grey_statistics(grey))


def _decoded(data: bytes) -> Image.Image:
    if _has_zero_size(data):
        raise RejectedError(Reason.ZERO_SIZE, "the header states no pixels")
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except UnidentifiedImageError:
        raise RejectedError(Reason.NOT_AN_IMAGE, "no image format has these bytes") from None
    except Image.DecompressionBombError as error:
        raise RejectedError(Reason.TOO_MANY_PIXELS, str(error)) from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        message = str(error) or type(error).__name__
        is_cut = "truncated" in message.lower() or isinstance(error, EOFError)
        raise RejectedError(Reason.TRUNCATED if is_cut else Reason.CORRUPT, message) from None
    return image


def _has_zero_size(data: bytes) -> bool:
    """Whether a header states no pixels; Pillow would call some of these files no image."""
    if data.startswith(b"\x89PNG") and len(data) >= 24:
        return data[16:20] == b"\0\0\0\0" or data[20:24] == b"\0\0\0\0"
    if data.startswith(b"GIF8") and len(data) >= 10:
        return data[6:8] == b"\0\0" or data[8:10] == b"\0\0"
    if data.startswith(b"BM") and len(data) >= 26:
        return data[18:22] == b"\0\0\0\0" or data[22:26] == b"\0\0\0\0"
    return data.startswith(_JPEG_MAGIC) and 0 in _jpeg_size(data)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Height and width of a JPEG's frame header, by walking its segments; (-1, -1) without one."""
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height = int.from_bytes(data[position + 5 : position + 7], "big")
            return height, int.from_bytes(data[position + 7 : position + 9], "big")
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return -1, -1


def _encoded(image: Image.Image, file_format: str) -> bytes:
    """Encodes in the kind the photograph came in: lossless stays lossless."""
    buffer = io.BytesIO()
    rgb = _eight_bit(image).convert("RGB")
    if file_format in _LOSSLESS_FORMATS:
        rgb.save(buffer, format="PNG")
    else:
        rgb.save(buffer, format="JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def _eight_bit(image: Image.Image) -> Image.Image:
    """Brings deep greys to 0..255 by their high byte; Pillow's own conversion clips them."""
    if not image.mode.startswith(("I", "F")):
        return image
    deep: npt.NDArray[Any] = np.asarray(image)
    scaled = deep / 257 if deep.max(initial=0) > 255 else deep
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def _grey_statistics(grey: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Brightness and sharpness of grey pixels, uint8 [H, W]."""
    brightness = float(grey.mean())
    if min(grey.shape) < 3:
        return brightness, 0.0
    wide = grey.astype(np.int16)
    laplacian = (
        wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:] - 4 * wide[1:-1, 1:-1]
    )
    return brightness, float(laplacian.var())

"""From a file's bytes to a photograph that every later step decodes upright, or a reason."""

import dataclasses
import io
from collections.abc import Iterator

import imagehash
import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from components.ingest.rejection import Reason, RejectedError

# The limit is ours to check, with a reason code; Pillow's own would warn or raise on opening.
Image.MAX_IMAGE_PIXELS = None

_JPEG_MAGIC = b"\xff\xd8\xff"
_JPEG_QUALITY = 95
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_LOSSLESS_FORMATS = frozenset({"PNG", "GIF", "BMP", "TIFF"})
_SHORTER_SIDE_MEASURED = 64
"""Photographs are measured at about this size, so that large ones cost no more than small ones."""

_JPEG_SCAN = 0xDA
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

_GREY_VALUES = np.arange(256, dtype=np.float64)

_KEPT_MODES = {
    "JPEG": frozenset({"L", "RGB"}),
    "PNG": frozenset({"1", "L", "LA", "P", "RGB", "RGBA"}),
}
"""Formats and Pillow modes that TensorFlow's decoder reads as Pillow does; others are converted.

GIF and BMP are too, though TensorFlow reads most of them: lossless, and then surely all."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """How large and how narrow a photograph may be.

    Attributes:
        pixels: Most pixels, against decompression bombs.
        aspect: Longest side over shortest, at most.
    """

    pixels: int = 100_000_000
    aspect: float = 50.0


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
        contrast: Standard deviation of the grey values, 0 to 127.5.
        sharpness: Variance of the Laplacian of the grey values; low where out of focus.
        perceptual_hash: 64 bits that copies share, re-encoded or resized ones too, in hexadecimal.
    """

    image_bytes: bytes
    height: int
    width: int
    file_format: str
    converted: bool
    brightness: float
    contrast: float
    sharpness: float
    perceptual_hash: str


def read_photograph(data: bytes, limits: Limits = Limits()) -> Photograph:
    """Decodes an image file's bytes once, and converts them where a later decoder could not.

    Args:
        data: The file's bytes.
        limits: How large and how narrow it may be.

    Raises:
        RejectedError: They hold no whole image, or one beyond the limits.
    """
    if not data:
        raise RejectedError(Reason.EMPTY_FILE, "the file has no bytes")
    if _has_zero_size(data):
        raise RejectedError(Reason.ZERO_SIZE, "the header states no pixels")
    try:
        image = Image.open(io.BytesIO(data))
        _check_limits(image, limits)
        return _photograph(data, image)
    except UnidentifiedImageError:
        raise RejectedError(Reason.NOT_AN_IMAGE, "no image format has these bytes") from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        message = str(error) or type(error).__name__
        is_cut = "truncated" in message.lower() or isinstance(error, EOFError)
        raise RejectedError(Reason.TRUNCATED if is_cut else Reason.CORRUPT, message) from None


def _check_limits(image: Image.Image, limits: Limits) -> None:
    """Refuses by the header alone, before memory is taken for the pixels."""
    width, height = image.size
    if width * height > limits.pixels:
        raise RejectedError(Reason.TOO_MANY_PIXELS, f"{width} x {height}, over {limits.pixels:,}")
    if max(width, height) > limits.aspect * min(width, height):
        raise RejectedError(Reason.ABSURD_ASPECT, f"{width} x {height}, over {limits.aspect:g}:1")


def _photograph(data: bytes, image: Image.Image) -> Photograph:
    file_format = str(image.format)
    keep = image.mode in _KEPT_MODES.get(file_format, ())
    if file_format == "JPEG":
        # The metadata stands before the pixels; asking other formats now would cost a decode.
        keep = keep and _has_sound_segments(data)
        keep = keep and ("exif" not in image.info or _is_upright(image))
        if keep:
            # Grey is all that is measured; the colours' coefficients are checked all the same.
            image.draft("L", image.size)
    image.load()
    if keep and file_format == "PNG":
        keep = _is_upright(image) and _has_right_checksums(data)
    upright = image if keep else ImageOps.exif_transpose(image)
    grey = _eight_bit(upright).convert("L")
    small = grey.reduce(max(1, min(grey.size) // _SHORTER_SIDE_MEASURED))
    brightness, contrast = _brightness_and_contrast(small)
    return Photograph(
        image_bytes=data if keep else _encoded(upright, file_format),
        height=grey.height,
        width=grey.width,
        file_format=file_format,
        converted=not keep,
        brightness=brightness,
        contrast=contrast,
        sharpness=_sharpness(small),
        perceptual_hash=_perceptual_hash(small),
    )


def _is_upright(image: Image.Image) -> bool:
    return bool(image.getexif().get(ExifTags.Base.Orientation, 1) == 1)


def _has_right_checksums(png: bytes) -> bool:
    """Whether a PNG's chunks are whole to the last; Pillow reads on where TensorFlow refuses."""
    if not png.endswith(_PNG_END):
        return False
    try:
        Image.open(io.BytesIO(png)).verify()
    except (OSError, SyntaxError, ValueError, EOFError, IndexError):
        return False
    return True


def _has_zero_size(data: bytes) -> bool:
    """Whether a header states no pixels; Pillow would call some of these files no image."""
    if data.startswith(b"\x89PNG") and len(data) >= 24:
        return data[16:20] == b"\0\0\0\0" or data[20:24] == b"\0\0\0\0"
    if data.startswith(b"GIF8") and len(data) >= 10:
        return data[6:8] == b"\0\0" or data[8:10] == b"\0\0"
    if data.startswith(b"BM") and len(data) >= 26:
        return data[18:22] == b"\0\0\0\0" or data[22:26] == b"\0\0\0\0"
    if not data.startswith(_JPEG_MAGIC):
        return False
    frames = [at for marker, at in _jpeg_segments(data) if marker in _JPEG_FRAMES]
    return any(b"\0\0" in (data[at + 5 : at + 7], data[at + 7 : at + 9]) for at in frames)


def _has_sound_segments(jpeg: bytes) -> bool:
    """Whether every header segment ends where the next begins; Pillow skips what lies between."""
    return any(marker == _JPEG_SCAN for marker, _ in _jpeg_segments(jpeg))


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and place of a JPEG's segments, up to its scan or the first out of place."""
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a byte that fills up
            position += 1
            continue
        yield marker, position
        if marker == _JPEG_SCAN:
            return
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")


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
    deep = np.asarray(image)
    scaled = deep / 257 if deep.max(initial=0) > 255 else deep
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def _brightness_and_contrast(grey: Image.Image) -> tuple[float, float]:
    """Mean and standard deviation of a grey image, out of its histogram."""
    counts = np.array(grey.histogram(), np.float64)
    mean = float(counts @ _GREY_VALUES / counts.sum())
    variance = float(counts @ (_GREY_VALUES - mean) ** 2 / counts.sum())
    return mean, variance**0.5


def _sharpness(grey: Image.Image) -> float:
    """Variance of the Laplacian, after Pech-Pacheco et al., ICPR 2000."""
    if min(grey.size) < 3:
        return 0.0
    wide = np.asarray(grey).astype(np.int16)
    laplacian = wide[1:-1, :-2] + wide[1:-1, 2:]
    laplacian += wide[:-2, 1:-1]
    laplacian += wide[2:, 1:-1]
    laplacian -= 4 * wide[1:-1, 1:-1]
    # numpy's own variance would make three arrays of doubles, in twice the time.
    values = laplacian.astype(np.float32).ravel()
    mean = int(laplacian.sum(dtype=np.int64)) / values.size
    return max(0.0, float(values @ values) / values.size - mean * mean)


def _perceptual_hash(grey: Image.Image) -> str:
    """The DCT hash of imagehash."""
    found = imagehash.phash(grey.resize((32, 32), Image.Resampling.BOX))
    # What its own str() gives, at a tenth of the cost.
    return np.packbits(found.hash).tobytes().hex()

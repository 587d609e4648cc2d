"""Image files: read, checked, and decoded as every step decodes them."""

import dataclasses
import io
from collections.abc import Iterator
from contextlib import contextmanager

import imagehash
import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from components.ingest.images.headers import has_sound_segments, has_zero_size
from darkroom.artifacts.rejected import Reason, RejectedError
from darkroom.thumbnails import upright

# The limit is ours to check, with a reason code; Pillow's own would warn or raise on opening.
Image.MAX_IMAGE_PIXELS = None

_FORMATS = (
    "JPEG",
    "PNG",
    "GIF",
    "BMP",
    "DIB",
    "WEBP",
    "TIFF",
    "AVIF",
    "JPEG2000",
    "ICO",
    "TGA",
    "DDS",
    "PPM",
)
"""Pillow's formats of photographs; of its others one would start Ghostscript."""
_HEIC = frozenset({b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypheim", b"ftypheis"})
_JPEG_QUALITY = 95
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_LOSSLESS_FORMATS = frozenset({"PNG", "GIF", "BMP", "TIFF"})
_JPEG_MODES = frozenset({"L", "RGB", "YCbCr"})
_SHORTER_SIDE_MEASURED = 64
"""Photographs are measured at about this size, so that large ones cost no more than small ones."""

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
        converted: Whether the bytes were encoded again.
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
    with _reasons():
        photograph, picture = _decoded(data, limits, in_colour=False)
        if not photograph.converted:
            return photograph
        image_bytes = encoded(picture, photograph.file_format)
        return dataclasses.replace(photograph, image_bytes=image_bytes)


def read_picture(data: bytes, limits: Limits = Limits()) -> tuple[Photograph, Image.Image]:
    """Decodes an image file's bytes once, for parts of it to be encoded again.

    Args:
        data: The file's bytes.
        limits: How large and how narrow it may be.

    Returns:
        The photograph, whose bytes are those of the file even where they need to be converted,
        and its pixels, upright, in a mode that `encoded` takes.

    Raises:
        RejectedError: They hold no whole image, or one beyond the limits.
    """
    with _reasons():
        return _decoded(data, limits, in_colour=True)


@contextmanager
def _reasons() -> Iterator[None]:
    """Gives what goes wrong in decoding a reason code."""
    try:
        yield
    except UnidentifiedImageError:
        raise RejectedError(Reason.NOT_AN_IMAGE, "no image format has these bytes") from None
    except RejectedError:
        raise
    except Exception as error:
        # Decoders raise what they like (TypeError, struct.error, RuntimeError and more): whatever
        # it is, this file cannot be used, and the others can.
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


def _decoded(data: bytes, limits: Limits, in_colour: bool) -> tuple[Photograph, Image.Image]:
    if not data:
        raise RejectedError(Reason.EMPTY_FILE, "the file has no bytes")
    if has_zero_size(data):
        raise RejectedError(Reason.ZERO_SIZE, "the header states no pixels")
    if data[4:12] in _HEIC:
        raise RejectedError(Reason.NOT_AN_IMAGE, "a HEIC photograph: convert it to JPEG")
    image = Image.open(io.BytesIO(data), formats=_FORMATS)
    _check_limits(image, limits)
    file_format = str(image.format)
    keep = image.mode in _KEPT_MODES.get(file_format, ())
    if file_format == "JPEG":
        # The metadata stands before the pixels; asking other formats now would cost a decode.
        keep = keep and has_sound_segments(data)
        keep = keep and ("exif" not in image.info or _is_upright(image))
        if keep and not in_colour:
            # Grey is all that is measured; the colours' coefficients are checked all the same.
            image.draft("L", image.size)
        elif keep and _holds_ycbcr(image):
            # The very values that the file holds; by way of RGB each would be rounded twice.
            image.draft("YCbCr", image.size)
    image.load()
    if keep and file_format == "PNG":
        keep = _is_upright(image) and _has_right_checksums(data)
    picture = _eight_bit(image if keep else upright(image))
    grey = picture.convert("L")
    small = grey.reduce(max(1, min(grey.size) // _SHORTER_SIDE_MEASURED))
    brightness, contrast = _brightness_and_contrast(small)
    photograph = Photograph(
        image_bytes=data,
        height=grey.height,
        width=grey.width,
        file_format=file_format,
        converted=not keep,
        brightness=brightness,
        contrast=contrast,
        sharpness=_sharpness(small),
        perceptual_hash=_perceptual_hash(small),
    )
    return photograph, picture


def _holds_ycbcr(jpeg: Image.Image) -> bool:
    return "jfif" in jpeg.info or jpeg.info.get("adobe_transform") == 1


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


def encoded(picture: Image.Image, file_format: str) -> bytes:
    """Encodes in the kind the photograph came in: lossless stays lossless.

    Args:
        picture: Pixels of 8 bits a channel.
        file_format: Format the photograph came in, such as `JPEG`.
    """
    buffer = io.BytesIO()
    if file_format in _LOSSLESS_FORMATS:
        mode = "L" if picture.mode in ("1", "L") else "RGB"
        picture.convert(mode).save(buffer, format="PNG")
    else:
        mode = picture.mode if picture.mode in _JPEG_MODES else "RGB"
        picture.convert(mode).save(buffer, format="JPEG", quality=_JPEG_QUALITY, subsampling=0)
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

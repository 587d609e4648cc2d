"""Image files: read, checked, and decoded as every step decodes them."""

import dataclasses
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, UnidentifiedImageError

from darkroom.artifacts.rejected import Reason, RejectedError
from darkroom.images.headers import (
    PlainJpeg,
    has_sound_segments,
    has_zero_size,
    is_filled_with_zeros,
)
from darkroom.images.measures import Measures, measure
from darkroom.pixels import as_seen, exif_orientation, on_white, orientation

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
_COMPRESSED = frozenset({"AVIF", "WEBP", "JPEG2000"})
_HEIC = frozenset({b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypheim", b"ftypheis"})
_JPEG_QUALITY = 95
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_LOSSLESS_FORMATS = frozenset({"PNG", "GIF", "BMP", "TIFF"})
_JPEG_MODES = frozenset({"L", "RGB", "YCbCr"})
_KEPT_MODES = {
    "JPEG": frozenset({"L", "RGB"}),
    "PNG": frozenset({"1", "L", "LA", "P", "RGB", "RGBA"}),
    "WEBP": frozenset({"RGB"}),
}
"""Formats and Pillow modes that TensorFlow's decoder reads as Pillow does; others are converted.

GIF and BMP are too, though TensorFlow reads most of them: lossless, and then surely all."""


_Pixels = npt.NDArray[np.uint8]


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
class Photograph(Measures):
    """An image that was decoded whole, and what was measured of it.

    Attributes:
        image_bytes: Encoded bytes, as they came or converted.
        height: Pixels.
        width: Pixels.
        file_format: Format it came in, such as `JPEG`.
        converted: Whether the bytes were encoded again.
    """

    image_bytes: bytes
    height: int
    width: int
    file_format: str
    converted: bool


def read_photograph(data: bytes, limits: Limits = Limits()) -> Photograph:
    """Decodes an image file's bytes once, and converts them where a later decoder could not.

    Args:
        data: The file's bytes.
        limits: How large and how narrow it may be.

    Raises:
        RejectedError: They hold no whole image, or one beyond the limits.
    """
    with _reasons():
        plain = _plain_photograph(data, limits)
        if plain is not None:
            return plain
        photograph, picture = _decoded(data, limits, in_colour=False)
        if not photograph.converted:
            return photograph
        # A WebP may be lossless: as PNG it surely is what a model makes of the WebP.
        is_webp = photograph.file_format == "WEBP"
        image_bytes = encoded(picture, "PNG" if is_webp else photograph.file_format)
        return dataclasses.replace(photograph, image_bytes=image_bytes)


def check_photograph(data: bytes, limits: Limits = Limits()) -> bytes:
    """Checks an image file's bytes as `read_photograph` does, and measures nothing.

    Args:
        data: The file's bytes.
        limits: How large and how narrow it may be.

    Returns:
        The bytes; where only some decoders read them, or read them as they are meant, converted.

    Raises:
        RejectedError: They hold no whole image, or one beyond the limits.
    """
    with _reasons():
        header = PlainJpeg.of(data)
        if header is not None and header.width and header.height:
            _check_limits(header.width, header.height, limits)
            # A model turns it itself, by its EXIF.
            if _checked_jpeg(data, header.mode) is not None:
                return data
    return read_photograph(data, limits).image_bytes


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
    """Gives what goes wrong in decoding a reason code; what decoders only warn of is no matter."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
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


def _check_limits(width: int, height: int, limits: Limits) -> None:
    """Refuses by the header alone, before memory is taken for the pixels."""
    if width * height > limits.pixels:
        raise RejectedError(Reason.TOO_MANY_PIXELS, f"{width} x {height}, over {limits.pixels:,}")
    if max(width, height) > limits.aspect * min(width, height):
        raise RejectedError(Reason.ABSURD_ASPECT, f"{width} x {height}, over {limits.aspect:g}:1")


def _plain_photograph(data: bytes, limits: Limits) -> Photograph | None:
    """A JPEG as nearly all are, which is kept as it is; None for all else."""
    header = PlainJpeg.of(data)
    if header is None or not header.width or not header.height:
        return None
    _check_limits(header.width, header.height, limits)
    if exif_orientation(header.exif) != 1:
        return None
    pixels = _checked_jpeg(data, header.mode)
    return None if pixels is None else _measured(data, pixels, "JPEG", converted=False)


def _measured(data: bytes, pixels: _Pixels, file_format: str, *, converted: bool) -> Photograph:
    height, width = pixels.shape
    return Photograph(
        image_bytes=data,
        height=height,
        width=width,
        file_format=file_format,
        converted=converted,
        **vars(measure(pixels)),
    )


def _decoded(data: bytes, limits: Limits, in_colour: bool) -> tuple[Photograph, Image.Image]:
    if not data:
        raise RejectedError(Reason.EMPTY_FILE, "the file has no bytes")
    if has_zero_size(data):
        raise RejectedError(Reason.ZERO_SIZE, "the header states no pixels")
    if data[4:12] in _HEIC:
        raise RejectedError(Reason.UNSUPPORTED, "a HEIC photograph: convert it to JPEG")
    image: Image.Image = Image.open(io.BytesIO(data), formats=_FORMATS)
    _check_limits(*image.size, limits)
    file_format = str(image.format)
    if file_format in _COMPRESSED and is_filled_with_zeros(data):
        raise RejectedError(Reason.TRUNCATED, "the file ends in zeros, as a broken download does")
    keep = image.mode in _KEPT_MODES.get(file_format, ())
    pixels: _Pixels | None = None
    if file_format == "JPEG":
        keep = keep and has_sound_segments(data) and orientation(image) == 1
        pixels = _checked_jpeg(data, image.mode)
    if pixels is None or in_colour or not keep:
        if keep and file_format == "JPEG" and _holds_ycbcr(image):
            # The very values that the file holds; by way of RGB each would be rounded twice.
            image.draft("YCbCr", image.size)
        image.load()
        if keep and file_format != "JPEG":
            # What turns a PNG may stand after its pixels.
            keep = orientation(image) == 1 and on_white(image) is image
            keep = keep and (file_format != "PNG" or _has_right_checksums(data))
        image = image if keep else _as_seen(image)
        pixels = np.asarray(image.convert("L"))
    return _measured(data, pixels, file_format, converted=not keep), image


def _as_seen(image: Image.Image) -> Image.Image:
    try:
        return as_seen(image)
    except ValueError as error:
        raise RejectedError(Reason.UNSUPPORTED, str(error)) from None


def _checked_jpeg(data: bytes, mode: str) -> _Pixels | None:
    """The greys of a whole JPEG, uint8 [h, w]; Pillow would take a part with an end marker, too.

    None for CMYK, and where libjpeg has other complaints: Pillow may have a reason or none.
    """
    colours = "CMYK" if mode == "CMYK" else "GRAY"
    try:
        pixels = simplejpeg.decode_jpeg(data, colours, strict=True)
        return pixels[..., 0] if colours == "GRAY" else None
    except ValueError as error:
        if "premature end" in str(error).lower():
            raise RejectedError(Reason.TRUNCATED, str(error)) from None
        return None


def _holds_ycbcr(jpeg: Image.Image) -> bool:
    return "jfif" in jpeg.info or jpeg.info.get("adobe_transform") == 1


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

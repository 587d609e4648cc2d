"""One decoding: a file sent to a model gives the pixels that ingest stores of it, or is refused."""

import functools
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from darkroom.images.photograph import read_photograph
from darkroom.pixels import orientation

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Corrupt EXIF data"),
]

RANDOM = np.random.default_rng(5)
PICTURE = Image.fromarray(RANDOM.integers(0, 256, (3, 5, 3), np.uint8)).resize((200, 120))
OPACITY = Image.fromarray(RANDOM.integers(0, 256, (120, 200), np.uint8))
CUT_OUT = Image.merge("RGBA", (*PICTURE.split(), OPACITY))
GREY = PICTURE.convert("L")
DEEP = Image.fromarray(RANDOM.integers(0, 65536, (120, 200)).astype(np.uint16))
Pixels = npt.NDArray[np.uint8]


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def exif(value: int, little: bool = True, kind: int = 3, before: int = 0) -> bytes:
    """An EXIF block whose orientation comes after some other entries."""
    order = "<" if little else ">"
    others = [struct.pack(f"{order}HHII", 0x100 + n, 4, 1, n) for n in range(before)]
    written = struct.pack(order + {1: "B", 3: "H", 4: "I", 7: "B"}[kind], value).ljust(4, b"\0")
    entries = [*others, struct.pack(f"{order}HHI", 0x112, kind, 1) + written]
    header = (b"II*\0" if little else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries))
    return b"Exif\0\0" + header + b"".join(entries) + b"\0" * 4


def png_with_late_exif(value: int) -> bytes:
    """A PNG whose EXIF stands after its pixels, as the standard allows."""
    png, chunk = encoded(PICTURE, "PNG"), b"eXIf" + exif(value)[6:]
    length, checksum = struct.pack(">I", len(chunk) - 4), struct.pack(">I", zlib.crc32(chunk))
    return png[:-12] + length + chunk + checksum + png[-12:]


def without_adobe_marker(jpeg: bytes) -> bytes:
    at = jpeg.index(b"\xff\xee")
    return jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big") :]


def turned(value: int, file_format: str = "JPEG", **options: Any) -> bytes:
    return encoded(PICTURE, file_format, exif=exif(value), **options)


LOSSLESS = {
    "png": encoded(PICTURE, "PNG"),
    "rgba png": encoded(CUT_OUT, "PNG"),
    "la png": encoded(Image.merge("LA", (GREY, OPACITY)), "PNG"),
    "opaque rgba png": encoded(PICTURE.convert("RGBA"), "PNG"),
    "palette png": encoded(PICTURE.quantize(200), "PNG"),
    "palette png of 1 bit": encoded(PICTURE.quantize(2), "PNG", bits=1),
    "palette png of 2 bits": encoded(PICTURE.quantize(4), "PNG", bits=2),
    "palette png of 4 bits": encoded(PICTURE.quantize(16), "PNG", bits=4),
    "transparent palette png": encoded(PICTURE.quantize(200), "PNG", transparency=3),
    "transparent palette png of 2 bits": encoded(
        PICTURE.quantize(4), "PNG", bits=2, transparency=1
    ),
    "png with a transparent colour": encoded(PICTURE, "PNG", transparency=PICTURE.getpixel((0, 0))),
    "grey png with a transparent grey": encoded(GREY, "PNG", transparency=GREY.getpixel((0, 0))),
    "black and white png": encoded(PICTURE.convert("1"), "PNG"),
    "transparent black and white png": encoded(PICTURE.convert("1"), "PNG", transparency=0),
    "png of 16 bits": encoded(DEEP, "PNG"),
    "rotated png": turned(6, "PNG"),
    "png rotated at its end": png_with_late_exif(8),
    "gif": encoded(PICTURE.quantize(64), "GIF"),
    "transparent gif": encoded(PICTURE.quantize(64), "GIF", transparency=3),
    "transparent interlaced gif": encoded(
        PICTURE.quantize(64), "GIF", transparency=3, interlace=1, comment=b"of two blocks" * 30
    ),
    "animated gif": encoded(
        PICTURE.quantize(64), "GIF", save_all=True, append_images=[PICTURE.rotate(9).quantize(64)]
    ),
    "bmp": encoded(PICTURE, "BMP"),
    "palette bmp": encoded(PICTURE.quantize(256), "BMP"),
    "grey bmp": encoded(GREY, "BMP"),
    "rgba bmp": encoded(CUT_OUT, "BMP"),
    "webp": encoded(PICTURE, "WEBP"),
    "lossless webp": encoded(PICTURE, "WEBP", lossless=True),
    "transparent webp": encoded(CUT_OUT, "WEBP"),
    "rotated webp": turned(6, "WEBP"),
    "rotated transparent webp": encoded(CUT_OUT, "WEBP", exif=exif(5)),
    "jpeg": encoded(PICTURE, "JPEG"),
    "progressive jpeg": encoded(PICTURE, "JPEG", progressive=True),
    "grey jpeg": encoded(GREY, "JPEG"),
}
"""Files of which exactly the same pixels are stored and served."""

WRITTEN_ANEW = {
    "cmyk jpeg": encoded(PICTURE.convert("CMYK"), "JPEG", quality=95),
    "cmyk jpeg without adobe's marker": without_adobe_marker(
        encoded(PICTURE.convert("CMYK"), "JPEG", quality=95)
    ),
    "rotated jpeg": turned(6),
    "jpeg with exif after another segment": encoded(
        PICTURE, "JPEG", exif=exif(3), comment=b"Exif\0\0 is not here", dpi=(72, 72)
    ),
}
"""Files that ingest stores as a JPEG of high quality."""


@pytest.fixture(scope="module")
def served() -> Callable[[bytes], Pixels]:
    """The decoding that is part of every model."""
    import tensorflow as tf

    from components.transform.decoding import decode

    function = tf.function(decode, input_signature=[tf.TensorSpec([], tf.string)])
    return lambda data: np.asarray(function(data))


def stored(data: bytes) -> Pixels:
    """What transform makes of what ingest stores."""
    import tensorflow as tf

    from components.transform.decoding import decode_stored

    return np.asarray(decode_stored(tf.constant(read_photograph(data).image_bytes)))


@pytest.mark.parametrize("data", LOSSLESS.values(), ids=LOSSLESS.keys())
def test_what_is_served_is_what_is_stored(data: bytes, served: Callable[[bytes], Pixels]) -> None:
    assert np.array_equal(served(data), stored(data))


@pytest.mark.parametrize("data", WRITTEN_ANEW.values(), ids=WRITTEN_ANEW.keys())
def test_what_is_written_anew_loses_as_little_as_a_jpeg(
    data: bytes, served: Callable[[bytes], Pixels]
) -> None:
    theirs, ours = served(data).astype(int), stored(data).astype(int)
    assert theirs.shape == ours.shape
    assert np.abs(theirs - ours).mean() < 1


@pytest.mark.parametrize("data", (LOSSLESS | WRITTEN_ANEW).values())
def test_what_is_stored_is_served_as_it_is_transformed(
    data: bytes, served: Callable[[bytes], Pixels]
) -> None:
    """Transform decodes with less, as ingest leaves nothing to turn and nothing transparent."""
    assert np.array_equal(served(read_photograph(data).image_bytes), stored(data))


@pytest.mark.parametrize("little", [True, False])
@pytest.mark.parametrize("kind", [1, 3, 4, 7])
@pytest.mark.parametrize("value", range(10))
def test_an_orientation_is_read_and_applied_as_ingest_does(
    value: int, kind: int, little: bool, served: Callable[[bytes], Pixels]
) -> None:
    data = encoded(PICTURE, "JPEG", quality=95, exif=exif(value, little, kind, before=value))
    theirs, ours = served(data).astype(int), stored(data).astype(int)
    assert theirs.shape == ours.shape
    assert np.abs(theirs - ours).mean() < 1
    assert (theirs.shape == (200, 120, 3)) == (5 <= value <= 8)


@functools.cache
def _turned_by_exif() -> Any:
    import tensorflow as tf

    from components.transform.orientation import jpeg_blocks, upright

    signature = [tf.TensorSpec([], tf.string), tf.TensorSpec([None, None, 3], tf.uint8)]
    return tf.function(
        lambda data, picture: upright(picture, jpeg_blocks(data)[0]), input_signature=signature
    )


@settings(max_examples=300)
@given(
    value=st.integers(0, 300),
    place=st.integers(0, 60),
    by=st.integers(0, 255),
    cut=st.integers(0, 60),
)
def test_a_damaged_exif_is_read_alike(value: int, place: int, by: int, cut: int) -> None:
    """Or is said not to state an orientation, by both."""
    block = bytearray(exif(value, before=2))
    block[6 + place % (len(block) - 6)] = by
    data = encoded(Image.new("RGB", (3, 2)), "JPEG", exif=bytes(block[: len(block) - cut % 20]))
    picture = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    theirs = _turned_by_exif()(data, picture).numpy()
    stated = orientation(Image.open(io.BytesIO(data)))
    ours = picture.swapaxes(0, 1) if stated >= 5 else picture
    ours = ours[:, ::-1] if stated in (2, 3, 6, 7) else ours
    ours = ours[::-1] if stated in (3, 4, 7, 8) else ours
    assert np.array_equal(theirs, ours)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8\xff",
        b"GIF89a",
        b"BM" + b"\0" * 60,
        b"RIFF\0\0\0\0WEBP",
        encoded(PICTURE.convert("1"), "BMP"),
        encoded(PICTURE, "TIFF"),
        encoded(PICTURE, "AVIF"),
        LOSSLESS["png"][:500],
        LOSSLESS["transparent gif"][:400],
    ],
)
def test_what_tensorflow_cannot_decode_is_refused(
    data: bytes, served: Callable[[bytes], Pixels]
) -> None:
    import tensorflow as tf

    with pytest.raises(tf.errors.OpError):
        served(data)

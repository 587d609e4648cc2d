"""Decodes a photograph as a person sees it, with TensorFlow's operations only.

It is part of every model, so that a photograph may be sent to it as a camera wrote it: ingest's
decoder, Pillow, gives the same pixels.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from components.transform.orientation import (
    apart,
    holds,
    jpeg_blocks,
    number,
    png_exif,
    read_bytes,
    upright,
    webp_exif,
)

_JPEG = b"\xff\xd8\xff"
_ADOBE_CMYK = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
"""A JPEG segment that says: CMYK, each value stored as 255 minus itself."""
_PNG_KINDS_WITH_ALPHA = [4, 6]
_BMP_UNCOMPRESSED, _BMP_MASKS = 0, 3
_BMP_USUAL_MASKS = b"\x00\x00\xff\x00\x00\xff\x00\x00\xff\x00\x00\x00"


Cases = Sequence[tuple[Callable[[], Any], Callable[[], Any]]]
"""Conditions, bool [], and what has them gives."""


def decode(encoded: Any) -> Any:
    """Decodes a JPEG, PNG, GIF (first frame), BMP or WebP, upright and on white.

    What the EXIF orientation says is done, transparent parts are white, 16 bits a channel become
    the upper 8, colour profiles are ignored, and a CMYK JPEG holds inverted values whether or not
    it has Adobe's marker: as Pillow and browsers do.

    Args:
        encoded: An encoded image, string [].

    Returns:
        Pixels 0 to 255, uint8 [H, W, 3].

    Raises:
        tf.errors.InvalidArgumentError: When run, if it is no image, or a BMP of another kind than
            8, 24 or 32 bits a pixel without compression.
    """
    is_jpeg = tf.equal(tf.strings.substr(encoded, 0, 3), _JPEG)
    image = tf.cond(is_jpeg, lambda: _jpeg(encoded), lambda: apart(_other)(encoded))
    image.set_shape([None, None, 3])
    return image


def decode_stored(encoded: Any) -> Any:
    """Decodes what ingest stores, which is upright and opaque already, to the same pixels.

    It spares transform what a model needs for photographs as cameras write them: a second a task.

    Args:
        encoded: An encoded image, string [].

    Returns:
        Pixels 0 to 255, uint8 [H, W, 3].
    """
    is_jpeg = tf.equal(tf.strings.substr(encoded, 0, 3), _JPEG)
    image = tf.cond(is_jpeg, lambda: _jpeg_pixels(encoded), lambda: _any(encoded))
    image.set_shape([None, None, 3])
    return image


def _other(encoded: Any) -> Any:
    start = read_bytes(encoded, 0, 12)
    formats: Cases = [
        (lambda: _has(start, b"\x89PNG\r\n\x1a\n"), lambda: _png(encoded)),
        (lambda: _has(start, b"GIF8"), lambda: _gif(encoded)),
        (lambda: _has(start, b"BM"), lambda: _bmp(encoded)),
        (lambda: _has(start, b"RIFF") & _has(start[8:], b"WEBP"), lambda: _webp(encoded)),
    ]
    return _first(formats, _unknown)


def _unknown() -> Any:
    message = "Unknown image file format: send a JPEG, PNG, BMP, GIF or WebP"
    with tf.control_dependencies([tf.debugging.Assert(tf.constant(False), [message])]):
        return tf.zeros([1, 1, 3], tf.uint8)


def _first(cases: Cases, default: Callable[[], Any]) -> Any:
    """What the first case gives whose condition holds; those after it are not calculated."""
    if not cases:
        return default()
    (condition, value), *others = cases
    return tf.cond(condition(), value, lambda: _first(others, default))


def _has(values: Any, expected: bytes) -> Any:
    return tf.reduce_all(tf.equal(values[: len(expected)], list(expected)))


def _any(encoded: Any) -> Any:
    return tf.io.decode_image(encoded, channels=3, expand_animations=False)


def _jpeg(encoded: Any) -> Any:
    is_cmyk = tf.equal(tf.io.extract_jpeg_shape(encoded)[2], 4)
    sure = tf.cond(is_cmyk, lambda: apart(_with_adobe_marker)(encoded), lambda: encoded)
    image = _jpeg_pixels(sure)
    return tf.cond(
        holds(encoded, "Exif"),
        lambda: apart(upright)(image, jpeg_blocks(encoded)[0]),
        lambda: image,
    )


def _jpeg_pixels(encoded: Any) -> Any:
    # The default method is up to 9 grey values off, and no faster.
    return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")


def _with_adobe_marker(encoded: Any) -> Any:
    parts = [b"\xff\xd8", _ADOBE_CMYK, tf.strings.substr(encoded, 2, -1)]
    return tf.cond(jpeg_blocks(encoded)[1], lambda: encoded, lambda: tf.strings.join(parts))


def _png(encoded: Any) -> Any:
    exif, has_transparent_colour = png_exif(encoded)
    kind = read_bytes(encoded, 25, 1)[0]

    def without_alpha() -> Any:
        return tf.io.decode_png(encoded, channels=3)

    def with_alpha() -> Any:
        image = tf.io.decode_png(encoded, channels=4)
        return _on_white(image[..., :3], image[..., 3:])

    # Asked for alpha that is not there, libpng misreads palettes of less than 8 bits.
    has_alpha = has_transparent_colour | tf.reduce_any(tf.equal(kind, _PNG_KINDS_WITH_ALPHA))
    return apart(upright)(tf.cond(has_alpha, with_alpha, without_alpha), exif)


def _webp(encoded: Any) -> Any:
    image = tf.io.decode_webp(encoded)[0]
    image = tf.cond(
        tf.equal(tf.shape(image)[2], 4),
        lambda: _on_white(image[..., :3], image[..., 3:]),
        lambda: image,
    )
    return apart(upright)(image, webp_exif(encoded))


def _on_white(colours: Any, alpha: Any) -> Any:
    """Colours over white, rounded; uint8 [H, W, 3] and [H, W, 1]."""

    def blend() -> Any:
        opacity = tf.cast(alpha, tf.int32)
        over = tf.cast(colours, tf.int32) * opacity + 255 * (255 - opacity)
        return tf.cast((over + 127) // 255, tf.uint8)

    return tf.cond(tf.reduce_all(tf.equal(alpha, 255)), lambda: colours, blend)


def _gif(encoded: Any) -> Any:
    """The first frame; what is transparent is made a white that is opaque, as TensorFlow has it."""
    screen = read_bytes(encoded, 0, 13)
    global_size = _table_size(screen[10])

    def is_extension(position: Any, _control: Any) -> Any:
        return tf.equal(read_bytes(encoded, position, 1)[0], 0x21)

    def after_extension(position: Any, control: Any) -> tuple[Any, Any]:
        is_control = tf.equal(read_bytes(encoded, position, 2)[1], 0xF9)
        control = tf.where(is_control, position, control)

        def has_more(at: Any) -> Any:
            return read_bytes(encoded, at, 1)[0] > 0

        def skip(at: Any) -> Any:
            return [at + 1 + read_bytes(encoded, at, 1)[0]]

        end = tf.while_loop(has_more, skip, [position + 2])[0]
        return end + 1, control

    image_at, control_at = tf.while_loop(
        is_extension, after_extension, [13 + global_size, tf.constant(-1)]
    )

    def without_transparency() -> Any:
        control = read_bytes(encoded, control_at, 8)
        local_size = _table_size(read_bytes(encoded, image_at, 10)[9])
        table_at = tf.where(local_size > 0, image_at + 10, 13)
        opaque = tf.cast(control[3] - 1, tf.uint8)
        patched = _replaced(encoded, control_at + 3, tf.gather(_BYTES, tf.cast(opaque, tf.int32)))
        return _replaced(patched, table_at + 3 * control[6], b"\xff\xff\xff")

    is_transparent = (control_at > 0) & tf.equal(read_bytes(encoded, control_at, 4)[3] % 2, 1)
    return _any(tf.cond(is_transparent, without_transparency, lambda: encoded))


_BYTES = [bytes([value]) for value in range(256)]


def _table_size(flags: Any) -> Any:
    """Bytes of a GIF's colour table, by the flags that announce it."""
    return tf.where(flags >= 0x80, 3 * tf.bitwise.left_shift(2, flags % 8), 0)


def _replaced(encoded: Any, position: Any, by: Any) -> Any:
    after = tf.strings.substr(encoded, position + tf.strings.length(by), -1)
    return tf.strings.join([tf.strings.substr(encoded, 0, position), by, after])


def _bmp(encoded: Any) -> Any:
    header = read_bytes(encoded, 0, 70)
    size, bits = number(header[14:18]), header[28]
    compression, masks = number(header[30:34]), tf.strings.substr(encoded, 54, 12)
    is_usual = tf.equal(compression, _BMP_UNCOMPRESSED) | (
        tf.equal(compression, _BMP_MASKS) & tf.equal(masks, _BMP_USUAL_MASKS)
    )
    refusal = tf.debugging.Assert(is_usual, ["a BMP that is compressed, or of unusual colours"])
    with tf.control_dependencies([refusal]):
        image = tf.io.decode_bmp(encoded)
    # With a mask for it, and only then, the fourth channel is opacity.
    has_alpha = tf.equal(compression, _BMP_MASKS) & (size >= 56) & (header[69] > 0)

    def palette() -> Any:
        colours = tf.reshape(
            tf.io.decode_raw(tf.strings.substr(encoded, 14 + size, -1), tf.uint8)[: 4 * 256],
            [-1, 4],
        )
        return tf.gather(colours[:, 2::-1], tf.cast(image[..., 0], tf.int32))

    return tf.case(
        [
            (tf.equal(bits, 8), palette),
            (has_alpha, lambda: _on_white(image[..., :3], image[..., 3:])),
        ],
        default=lambda: image[..., :3],
    )

"""The EXIF orientation, found and applied with TensorFlow's operations only.

Formats: EXIF 2.32 (JEITA CP-3451), which is a TIFF file in little; ISO 10918-1 (JPEG), PNG 1.5
with eXIf, and Google's WebP container.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

_EXIF = b"Exif\x00\x00"
_ORIENTATION = 0x0112
_APP1, _APP14, _SCAN, _FILL = 0xE1, 0xEE, 0xDA, 0xFF
_SIZE_BY_TYPE = {1: 1, 3: 2, 4: 4, 7: 1}
"""Bytes of TIFF's whole numbers, and of a byte without a type."""


class Block(NamedTuple):
    """A block of a file: where its content starts, its size, and what it is.

    A negative size ends the walk through the file. What is marked depends on the format.
    """

    position: Any
    size: Any
    is_exif: Any
    is_marked: Any = False


Step = Callable[[Any], tuple[Any, Block]]
"""From the position of a block to the next one's, and the block."""


def read_bytes(encoded: Any, position: Any, count: int) -> Any:
    """Some bytes of a string [], int32 [count]; 0 beyond its end."""
    start = tf.clip_by_value(position, 0, tf.strings.length(encoded))
    part = tf.strings.substr(encoded, start, count)
    padded = tf.io.decode_raw(part, tf.uint8, fixed_length=count)
    return tf.ensure_shape(tf.cast(padded, tf.int32), [count])


def number(values: Any, is_little: Any = True) -> Any:
    """The whole number of some bytes, int32 []; of more than 31 bits it is negative."""
    count = values.shape[0]
    ordered = tf.where(is_little, values, values[::-1])
    return tf.reduce_sum(tf.bitwise.left_shift(ordered, tf.range(0, 8 * count, 8)))


@functools.cache
def apart(function: Callable[..., Any]) -> Callable[..., Any]:
    """Keeps a function of tensors a call in the graph, for branches that are seldom taken.

    TensorFlow would put its operations into the caller's graph, where each of them costs time for
    every photograph: it is told that it has nothing to do. And tf.transform asks for its graph four
    times, of which this builds one.
    """
    kept: Callable[..., Any] = tf.function(
        function, autograph=False, experimental_attributes={"_noinline": True}
    )
    return kept


def holds(encoded: Any, text: str) -> Any:
    """Whether a string [] holds some characters of ASCII anywhere, bool []."""
    # A loop over a file's blocks takes as long as decoding: this is one operation, after which
    # most photographs need no loop.
    return tf.strings.regex_full_match(encoded, rf"\C*({text})\C*")


def jpeg_blocks(encoded: Any) -> tuple[Any, Any]:
    """The EXIF block of a JPEG, string [], and whether it has Adobe's marker, bool []."""
    exif, has_marker = apart(_walk_jpeg)(encoded)
    return exif, has_marker


def _walk_jpeg(encoded: Any) -> tuple[Any, Any]:
    return _walk(encoded, 2, functools.partial(_jpeg_segment, encoded))


def _jpeg_segment(encoded: Any, position: Any) -> tuple[Any, Block]:
    segment = read_bytes(encoded, position, 10)
    marker, length = segment[1], segment[2] * 256 + segment[3]
    is_header = tf.equal(segment[0], _FILL) & tf.not_equal(marker, _SCAN)
    is_exif = tf.equal(marker, _APP1) & tf.reduce_all(segment[4:10] == list(_EXIF))
    is_adobe = tf.equal(marker, _APP14) & tf.reduce_all(segment[4:9] == list(b"Adobe"))
    following = position + tf.where(tf.equal(marker, _FILL), 1, 2 + length)
    size = tf.where(is_header, tf.maximum(length - 2, 0), -1)
    return following, Block(position + 4, size, is_exif, is_adobe)


def png_exif(encoded: Any) -> tuple[Any, Any]:
    """The EXIF block of a PNG, string [], and whether a colour of it is transparent, bool []."""

    def step(position: Any) -> tuple[Any, Block]:
        chunk = read_bytes(encoded, position, 8)
        size = number(chunk[:4], is_little=False)
        is_exif = tf.reduce_all(chunk[4:] == list(b"eXIf"))
        is_transparency = tf.reduce_all(chunk[4:] == list(b"tRNS"))
        return position + 12 + size, Block(position + 8, size, is_exif, is_transparency)

    exif, has_transparent_colour = tf.cond(
        holds(encoded, "eXIf|tRNS"),
        lambda: _walk(encoded, 8, step),
        lambda: (tf.constant(b""), tf.constant(False)),
    )
    return exif, has_transparent_colour


def webp_exif(encoded: Any) -> Any:
    """The EXIF block of a WebP, string []."""

    def step(position: Any) -> tuple[Any, Block]:
        chunk = read_bytes(encoded, position, 8)
        size = number(chunk[4:])
        is_exif = tf.reduce_all(chunk[:4] == list(b"EXIF"))
        return position + 8 + size + size % 2, Block(position + 8, size, is_exif)

    return tf.cond(
        holds(encoded, "EXIF"), lambda: _walk(encoded, 12, step)[0], lambda: tf.constant(b"")
    )


def _walk(encoded: Any, start: int, step: Step) -> tuple[Any, Any]:
    """The first EXIF block of a file of blocks, string [], and whether one of them is marked."""
    length = tf.strings.length(encoded)

    def is_within(position: Any, *_: Any) -> Any:
        return (position >= 0) & (position < length)

    def go_on(position: Any, at: Any, size: Any, marked: Any) -> tuple[Any, Any, Any, Any]:
        following, block = step(position)
        is_first = block.is_exif & tf.equal(size, 0) & (block.size > 0)
        return (
            # Such a size would lead back, for ever.
            tf.where(block.size < 0, length, following),
            tf.where(is_first, block.position, at),
            tf.where(is_first, block.size, size),
            marked | block.is_marked,
        )

    none = tf.constant(0)
    _, at, size, marked = tf.while_loop(
        is_within, go_on, [tf.constant(start), none, none, tf.constant(False)]
    )
    exif = tf.strings.substr(encoded, tf.clip_by_value(at, 0, length), tf.maximum(size, 0))
    return exif, marked


def upright(image: Any, exif: Any) -> Any:
    """An image as its camera was held.

    Args:
        image: uint8 [H, W, 3].
        exif: An EXIF block, string []; empty where there is none.

    Returns:
        uint8 [H, W, 3] or [W, H, 3].
    """
    orientation = tf.cond(
        tf.strings.length(exif) > 0, lambda: _orientation(exif), lambda: tf.constant(1)
    )

    def turned() -> Any:
        def is_one_of(*values: int) -> Any:
            return tf.reduce_any(tf.equal(orientation, list(values)))

        result = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
        result = tf.cond(is_one_of(2, 3, 6, 7), lambda: result[:, ::-1], lambda: result)
        return tf.cond(is_one_of(3, 4, 7, 8), lambda: result[::-1], lambda: result)

    return tf.cond((orientation >= 2) & (orientation <= 8), turned, lambda: image)


def _orientation(exif: Any) -> Any:
    """The orientation that an EXIF block states, int32 []; 1 where it states none."""
    start = tf.where(tf.equal(tf.strings.substr(exif + b"\0" * 6, 0, 6), _EXIF), 6, 0)
    tiff = tf.strings.substr(exif, tf.minimum(start, tf.strings.length(exif)), -1)
    header = read_bytes(tiff, 0, 8)
    is_little = tf.reduce_all(header[:4] == list(b"II*\0"))
    is_big = tf.reduce_all(header[:4] == list(b"MM\0*"))
    directory = number(header[4:], is_little)
    count = number(read_bytes(tiff, directory, 2), is_little)
    entries = tf.strings.substr(
        tiff, tf.clip_by_value(directory + 2, 0, tf.strings.length(tiff)), 12 * count
    )
    whole = tf.strings.length(entries) // 12
    table = tf.reshape(
        tf.io.decode_raw(tf.strings.substr(entries, 0, 12 * whole), tf.uint8), [-1, 12]
    )
    table = tf.cast(table, tf.int32)
    tags = tf.where(is_little, table[:, 0] + 256 * table[:, 1], table[:, 1] + 256 * table[:, 0])
    places = tf.where(tf.equal(tags, _ORIENTATION))[:, 0]
    is_stated = (tf.size(places) > 0) & (is_little | is_big) & (directory >= 0)
    return tf.cond(is_stated, lambda: _value(table[places[-1]], is_little), lambda: tf.constant(1))


def _value(entry: Any, is_little: Any) -> Any:
    """The one whole number of a TIFF entry, int32 []; 1 where it is something else."""
    kind = number(entry[2:4], is_little)
    is_one = tf.equal(number(entry[4:8], is_little), 1)
    values = [
        (is_one & tf.equal(kind, code), lambda size=size: number(entry[8 : 8 + size], is_little))
        for code, size in _SIZE_BY_TYPE.items()
    ]
    return tf.case(values, default=lambda: tf.constant(1))

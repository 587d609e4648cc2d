"""What an image file's bytes say, where Pillow is too kind or too strict."""

from darkroom.image_headers import JPEG_SCAN, image_size, jpeg_segments

_ZEROS = bytes(64)


def has_zero_size(data: bytes) -> bool:
    """Whether a header states no pixels; Pillow would call some of these files no image."""
    size = image_size(data)
    return size is not None and 0 in size


def has_sound_segments(jpeg: bytes) -> bool:
    """Whether every header segment ends where the next begins; Pillow skips what is between."""
    return any(marker == JPEG_SCAN for marker, _ in jpeg_segments(jpeg))


def is_filled_with_zeros(data: bytes) -> bool:
    """Whether a compressed file ends in zeros, as downloads that reserve their space leave it.

    Compressed pixels never do, and some decoders take them for a picture all the same.
    """
    return data.endswith(_ZEROS)

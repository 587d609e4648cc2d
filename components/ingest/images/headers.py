"""What an image file's header says, where Pillow is too kind or too strict."""

from collections.abc import Iterator

_ZEROS = bytes(64)
_JPEG_MAGIC = b"\xff\xd8\xff"
_JPEG_SCAN = 0xDA
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def has_zero_size(data: bytes) -> bool:
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


def has_sound_segments(jpeg: bytes) -> bool:
    """Whether every header segment ends where the next begins; Pillow skips what is between."""
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


def is_filled_with_zeros(data: bytes) -> bool:
    """Whether a compressed file ends in zeros, as downloads that reserve their space leave it.

    Compressed pixels never do, and some decoders take them for a picture all the same.
    """
    return data.endswith(_ZEROS)

"""What an image file's header says, read without decoding a pixel."""

from collections.abc import Iterator

JPEG_SCAN = 0xDA
JPEG_MAGIC = b"\xff\xd8\xff"
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
"""What follows 0xFF where no segment does: nothing, or a marker without content."""
_GIF_FRAME, _GIF_EXTENSION = 0x2C, 0x21


def image_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels that a JPEG, PNG, GIF, BMP or WebP states; None for others.

    A GIF or WebP of several frames, all of which a decoder may take memory for, has the height of
    all of them.
    """
    if data.startswith(b"\x89PNG") and len(data) >= 24:
        return _big(data[16:20]), _big(data[20:24])
    if data.startswith(b"GIF8") and len(data) >= 13:
        return _gif_size(data)
    if data.startswith(b"BM") and len(data) >= 26:
        return _little(data[18:22]), abs(_little(data[22:26], signed=True))
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP" and len(data) >= 30:
        return _webp_size(data)
    if data.startswith(JPEG_MAGIC):
        return _jpeg_size(data)
    return None


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and place of a JPEG's segments, up to its scan or the first out of place."""
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a byte that fills up
            position += 1
            continue
        yield marker, position
        if marker == JPEG_SCAN:
            return
        position += 2 + _big(data[position + 2 : position + 4])


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """The size in a JPEG's frame, found as libjpeg does: it passes over what is between segments.

    A size that is not found here is one that no limit holds for.
    """
    position = 2
    while (position := data.find(b"\xff", position)) >= 0 and position + 9 <= len(data):
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker in _JPEG_BARE:
            position += 2
        elif marker in _JPEG_FRAMES:
            return _big(data[position + 7 : position + 9]), _big(data[position + 5 : position + 7])
        elif marker == JPEG_SCAN:
            return None
        else:
            position += 2 + max(2, _big(data[position + 2 : position + 4]))
    return None


def _gif_size(data: bytes) -> tuple[int, int]:
    width, height = _little(data[6:8]), _little(data[8:10])
    position, pixels = 13 + _colour_table(data[10]), 0
    while position + 10 <= len(data) and data[position] in (_GIF_FRAME, _GIF_EXTENSION):
        if data[position] == _GIF_FRAME:
            frame = data[position + 5 : position + 10]
            pixels += _little(frame[:2]) * _little(frame[2:4])
            position += 11 + _colour_table(frame[4])
        else:
            position += 2
        while position < len(data) and data[position]:  # blocks of data, each after its size
            position += 1 + data[position]
        position += 1
    return width, max(height, -(-pixels // max(width, 1))) if width and height else height


def _colour_table(flags: int) -> int:
    return 3 << (1 + flags % 8) if flags >= 0x80 else 0


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        frames = max(1, data.count(b"ANMF"))
        return 1 + _little(data[24:27]), (1 + _little(data[27:30])) * frames
    if kind == b"VP8L":
        bits = _little(data[21:25])
        return 1 + bits % 2**14, 1 + (bits >> 14) % 2**14
    return _little(data[26:28]) % 2**14, _little(data[28:30]) % 2**14


def _big(part: bytes) -> int:
    return int.from_bytes(part, "big")


def _little(part: bytes, signed: bool = False) -> int:
    return int.from_bytes(part, "little", signed=signed)

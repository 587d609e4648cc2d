"""TFRecord files without TensorFlow.

Format: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from darkroom.errors import StepError
from darkroom.storage.files import opened

_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")
_LENGTH = struct.Struct("<Q")
_MASK_DELTA = 0xA282EAD8


def write_record(file: BinaryIO, record: bytes) -> None:
    """Appends one record to an open TFRecord file."""
    file.write(framed(record))


def framed(record: bytes) -> bytes:
    """A record as it stands in a TFRecord file, with its length and checksums."""
    length = _LENGTH.pack(len(record))
    head = length + _CHECKSUM.pack(_masked_crc(length))
    return b"".join((head, record, _CHECKSUM.pack(_masked_crc(record))))


def read_records(path: str | Path) -> Iterator[bytes]:
    """The records of a TFRecord file anywhere, read as they are asked for.

    Raises:
        StepError: The file is cut short, a checksum does not match, or its store refuses.
    """
    with opened(path) as file:
        while header := file.read(_HEADER.size):
            if len(header) < _HEADER.size:
                raise StepError(f"{path} is cut short; make the artifact again")
            (length, checksum) = _HEADER.unpack(header)
            # Checked first: a length that is damaged may be more than there is memory for.
            intact = checksum == _masked_crc(header[: _LENGTH.size])
            body = file.read(length + _CHECKSUM.size) if intact else b""
            record = body[:length]
            if len(body) != length + _CHECKSUM.size or _CHECKSUM.unpack(body[length:])[
                0
            ] != _masked_crc(record):
                raise StepError(f"{path} is damaged or cut short; make the artifact again")
            yield record


def _masked_crc(data: bytes) -> int:
    crc = int(google_crc32c.value(data))
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF

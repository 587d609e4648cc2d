"""A bare loop over photographs: read, decode, hash, write TFRecords; two processes, no checks.

Usage: python benchmarks/peers/bare_loop.py PHOTOGRAPHS OUT [--grey]

Written on its own, sharing no code with Darkroom, with what was fastest of the decoders tried
(benchmarks/peers/decoders.py). It is what Python can do at all: it keeps no reason for a bad file,
splits nothing, and the first photograph that does not decode ends it.
"""

import hashlib
import multiprocessing
import os
import sys

import google_crc32c
import simplejpeg

PROCESSES = 2


def main(photographs: str, out: str, grey: bool) -> None:
    """Writes `PROCESSES` files of `tf.train.Example` records."""
    files = [
        (label.name, file.path)
        for label in os.scandir(photographs)
        if label.is_dir()
        for file in os.scandir(label.path)
        if file.name.endswith(".jpg")
    ]
    os.makedirs(out, exist_ok=True)  # noqa: PTH103
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=write, args=(files[n::PROCESSES], f"{out}/{n}.tfrecord", grey))
        for n in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        sys.exit(1)


def write(files: list[tuple[str, str]], path: str, grey: bool) -> None:
    """Reads, decodes, hashes and writes one worker's share."""
    with open(path, "wb") as out:  # noqa: PTH123
        for label, file in files:
            with open(file, "rb") as image:  # noqa: PTH123
                data = image.read()
            if grey:
                pixels = simplejpeg.decode_jpeg(data, "GRAY")
            else:
                pixels = simplejpeg.decode_jpeg(data, "RGB", fastdct=True, fastupsample=True)
            height, width, _ = pixels.shape
            record = example(
                [
                    (b"height", integer(height)),
                    (b"image_bytes", text(data)),
                    (b"image_id", text(hashlib.sha256(data).hexdigest().encode())),
                    (b"image_path", text(file.encode())),
                    (b"label", text(label.encode())),
                    (b"width", integer(width)),
                ]
            )
            length = len(record).to_bytes(8, "little")
            out.write(length + masked_crc(length))
            out.write(record)
            out.write(masked_crc(record))


def masked_crc(data: bytes) -> bytes:
    """TFRecord's checksum."""
    crc = google_crc32c.value(data)
    return (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")


def example(features: list[tuple[bytes, bytes]]) -> bytes:
    """A serialized `tf.train.Example`, by hand: faster than any protobuf library."""
    entries = (field(1, field(1, name) + field(2, value)) for name, value in features)
    return field(1, b"".join(entries))


def text(value: bytes) -> bytes:
    """A Feature that holds one bytes value."""
    return field(1, field(1, value))


def integer(value: int) -> bytes:
    """A Feature that holds one integer."""
    return field(3, field(1, varint(value)))


def field(number: int, payload: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return b"%c%b%b" % (number << 3 | 2, varint(len(payload)), payload)


def varint(value: int) -> bytes:
    """Protobuf's variable-length integer."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], "--grey" in sys.argv[3:])

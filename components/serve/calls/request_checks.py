"""Checks of a request's values before the graph sees them: pixels, and files."""

import os
from collections.abc import Iterator, Mapping

from components.serve.calls.signature_call import Array
from components.serve.errors import RequestError
from components.serve.settings import ServeSettings
from darkroom.artifacts.model import IMAGE_BYTES
from darkroom.image_headers import image_size
from darkroom.records.example_proto import parsed_example
from darkroom.storage.paths import is_uri

_JPEG_XL = (b"\xff\x0a", b"\0\0\0\x0cJXL ")
"""What TensorFlow decodes, and of which no header says how large it is."""
_FILENAMES, _EXAMPLES = "filenames", "examples"


def check_values(inputs: Mapping[str, Array], settings: ServeSettings) -> int:
    """Checks what a request asks for against the server's limits.

    A photograph of a megabyte may be one of gigabytes once it is decoded: its header says so.

    Args:
        inputs: An array for each of the signature's inputs.
        settings: The limits.

    Returns:
        The pixels of all its photographs.

    Raises:
        RequestError: There are too many instances or pixels (413), pixels that cannot be counted
            (415), or a file is asked for that is not below an allowed prefix (403).
    """
    for name, array in inputs.items():
        if array.ndim:
            check_instances(len(array), settings.max_instances)
        if name == _FILENAMES and array.dtype == object:
            _check_files(array, settings)
    pixels = 0
    for data in _images(inputs):
        if data.startswith(_JPEG_XL):
            raise RequestError("JPEG XL is not taken: send JPEG, PNG, BMP, GIF or WebP", status=415)
        width, height = image_size(data) or (0, 0)
        pixels += width * height
        if pixels > settings.max_pixels:
            raise RequestError(
                f"the photographs have more than {settings.max_pixels:,} pixels: send smaller ones "
                "or fewer",
                status=413,
            )
    return pixels


def check_instances(count: int, most: int) -> None:
    """Checks how many instances a request has; where it can be, before they are looked at.

    Raises:
        RequestError: There are too many (413).
    """
    if count > most:
        raise RequestError(
            f"{count:,} instances, and {most:,} at most are answered at once: "
            "send several requests",
            status=413,
        )


def _images(inputs: Mapping[str, Array]) -> Iterator[bytes]:
    for name, array in inputs.items():
        if array.dtype != object:
            continue
        for value in array.ravel():
            if name == _EXAMPLES:
                yield from _images_of_example(value)
            else:
                yield value


def _images_of_example(serialized: bytes) -> Iterator[bytes]:
    try:
        values = parsed_example(serialized).get(IMAGE_BYTES, ())
    except Exception:
        return  # the graph says what is wrong with it
    yield from (value for value in values if isinstance(value, bytes))


def _check_files(names: Array, settings: ServeSettings) -> None:
    """A client could else read any file and bucket that the server can, or ask for endless ones."""
    for name in names.ravel():
        path = name.decode("utf-8", "replace")
        if not any(_is_below(path, prefix) for prefix in settings.allow_files):
            raise RequestError(
                "this server reads no files for its clients: send image_bytes, or start it with "
                "--allow-files PREFIX",
                status=403,
            )


def _is_below(path: str, prefix: str) -> bool:
    if is_uri(path) or is_uri(prefix):
        return path.startswith(f"{prefix.rstrip('/')}/") and ".." not in path.split("/")
    if "\0" in path:
        return False
    real, folder = os.path.realpath(path), os.path.realpath(prefix)
    is_special = os.path.exists(real) and not os.path.isfile(real)  # noqa: PTH110, PTH113
    return real.startswith(f"{folder.rstrip('/')}/") and not is_special

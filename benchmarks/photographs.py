"""Large sets of photographs, made from the flowers by repetition with altered bytes.

Two ways to alter a copy:

- `bytes` (as the figures state): a JPEG comment holds the copy's number, so every file has a
  digest of its own while all copies of a photograph decode alike and share a perceptual hash.
- `pixels`: a copy is turned, mirrored and cropped, and encoded again: other pixels, another
  perceptual hash. For what must not take copies for one photograph, and for what compares hashes.

`DARKROOM_BENCHMARK_VARIATION` chooses; `DARKROOM_BENCHMARK_FOLDER` is where the sets stay.
"""

import functools
import io
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
FLOWERS = Path(os.environ.get("FLOWERS", str(SHARED / "data" / "flowers")))
SCRATCH = Path(
    os.environ.get(
        "DARKROOM_BENCHMARK_FOLDER", str(Path(tempfile.gettempdir()) / "darkroom-benchmarks")
    )
)
VARIATION = os.environ.get("DARKROOM_BENCHMARK_VARIATION", "bytes")

_JPEG_START = b"\xff\xd8"
_JPEG_COMMENT = b"\xff\xfe"
_QUALITY = 88
_CROPPED = 0.85


def photographs(count: int, variation: str = VARIATION) -> Path:
    """A folder of label folders with `count` photographs; made once, then reused.

    The photographs of a smaller set are the first of a larger one, as hard links, in an order
    that mixes the labels.

    Args:
        count: How many.
        variation: `bytes` or `pixels`, as this module's docstring says.
    """
    folder = SCRATCH / f"flowers-{variation}" / str(count)
    if folder.is_dir():
        return folder
    temporary = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    made = _largest_set(folder.parent)
    alter = {"bytes": with_comment, "pixels": with_other_pixels}[variation]
    for label in {source.parent.name for source in _sources()}:
        (temporary / label).mkdir(parents=True)

    def put(number: int, source: Path) -> None:
        name = f"{source.parent.name}/{number:06d}-{source.name}"
        if made and (made / name).exists():
            (temporary / name).hardlink_to(made / name)
        else:
            copy = number // len(_sources())
            (temporary / name).write_bytes(alter(source.read_bytes(), copy))

    try:
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            list(threads.map(put, range(count), _repeated(count)))
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def with_comment(data: bytes, copy: int) -> bytes:
    """The same JPEG with the copy's number in a comment; copy 0 is the original."""
    if copy == 0:
        return data
    text = f"copy {copy}".encode()
    comment = _JPEG_COMMENT + (len(text) + 2).to_bytes(2, "big") + text
    return _JPEG_START + comment + data.removeprefix(_JPEG_START)


def with_other_pixels(data: bytes, copy: int) -> bytes:
    """The photograph turned and mirrored (8 ways), then cropped to a corner (4 ways more)."""
    from PIL import Image

    if copy == 0:
        return data
    crop, turn = divmod(copy, 8)
    image = Image.open(io.BytesIO(data)).convert("RGB")
    if crop:
        width, height = (round(_CROPPED * side) for side in image.size)
        left = 0 if crop // 2 % 2 else image.width - width
        top = 0 if crop % 2 else image.height - height
        image = image.crop((left, top, left + width, top + height))
    if turn >= 4:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    buffer = io.BytesIO()
    image.rotate(90 * (turn % 4), expand=True).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


@functools.cache
def _sources() -> list[Path]:
    sources = sorted(FLOWERS.glob("*/*.jpg"))
    random.Random(3).shuffle(sources)
    return sources


def _repeated(count: int) -> Iterator[Path]:
    sources = _sources()
    return (sources[number % len(sources)] for number in range(count))


def _largest_set(parent: Path) -> Path | None:
    sets = [path for path in parent.glob("[0-9]*") if path.is_dir()]
    return max(sets, key=lambda path: int(path.name), default=None)

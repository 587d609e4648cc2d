"""Hostile input and a failing disk: every row is accounted for, and nothing half-made is left."""

import os
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.ingest.tests.pictures import encoded, gradient

pytestmark = pytest.mark.slow

RunIngest = Callable[..., Any]


def mutated(data: bytes, generator: np.random.Generator) -> bytes:
    """Bytes changed, cut out, put in, or cut off at the end."""
    damaged = bytearray(data)
    for _ in range(generator.integers(0, 4)):
        place = int(generator.integers(2, len(damaged)))
        match generator.integers(3):
            case 0:
                damaged[place] = generator.integers(256)
            case 1:
                del damaged[place : place + int(generator.integers(1, 9))]
            case _:
                damaged[place:place] = generator.bytes(3)
        if len(damaged) < 4:
            return bytes(damaged)
    end = generator.integers(2, len(damaged)) if generator.random() < 0.2 else len(damaged)
    return bytes(damaged[:end])


FILES = int(os.environ.get("DARKROOM_FUZZ_FILES", "3000"))
"""20,000 were tried when this was written."""
FORMATS = (
    ("JPEG", "jpg"),
    ("EXIF", "jpg"),
    ("PNG", "png"),
    ("GIF", "gif"),
    ("WEBP", "webp"),
    ("TIFF", "tif"),
    ("AVIF", "avif"),
    ("JPEG2000", "jp2"),
    ("DDS", "dds"),
    ("TGA", "tga"),
    ("BMP", "bmp"),
    ("ICO", "ico"),
    ("HEIC", "heic"),
)


def sound(file_format: str, number: int) -> bytes:
    """An undamaged file; `EXIF` is a JPEG with EXIF, and `HEIC` is a format that ingest rejects."""
    picture = gradient(number)
    if file_format == "HEIC":
        return b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + encoded(picture, "JPEG")
    if file_format == "EXIF":
        exif = Image.Exif()
        exif[0x0112] = number % 10
        exif[0x010F] = "a camera"
        return encoded(picture, "JPEG", exif=exif)
    return encoded(picture, file_format)


def test_thousands_of_mutated_photographs_are_all_accounted_for(
    tmp_path: Path, run_ingest: RunIngest
) -> None:
    import tensorflow as tf

    generator = np.random.default_rng(0)
    for number in range(FILES):
        file_format, ending = FORMATS[number % len(FORMATS)]
        data = mutated(sound(file_format, number), generator)
        path = tmp_path / "data" / f"label {number % 3}" / f"{number}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    ingested = run_ingest(tmp_path / "data", max_rejected=1, near_duplicate_distance=-1)
    reasons = Counter(row["reason"] for row in ingested.rejected)
    assert len(ingested.all_records) + len(ingested.rejected) == FILES
    assert len({record["image_path"][0] for record in ingested.all_records}) == len(
        ingested.all_records
    )
    assert min(len(ingested.all_records), len(ingested.rejected)) > 300
    assert {"truncated", "not_an_image"} <= set(reasons)
    for record in ingested.all_records:
        image = tf.io.decode_image(record["image_bytes"][0], channels=3, expand_animations=False)
        assert image.shape[:2] == (record["height"][0], record["width"][0])


def test_bombs_and_ribbons_are_rejected_by_their_header(
    tmp_path: Path, run_ingest: RunIngest, photographs: Callable[[int], Path]
) -> None:
    folder = photographs(40)
    bomb = bytearray(encoded(gradient(1), "PNG"))
    bomb[16:24] = (100_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    (folder / "rose" / "bomb.png").write_bytes(bytes(bomb))
    ribbon = encoded(gradient(2, (600, 2)), "PNG")
    (folder / "rose" / "ribbon.png").write_bytes(ribbon)
    ingested = run_ingest(folder)
    assert ingested.reasons == {
        "rose/bomb.png": "too_many_pixels",
        "rose/ribbon.png": "absurd_aspect",
    }
    assert not run_ingest(folder, "wide", max_aspect=300, max_pixels=10**11).reasons.get(
        "rose/ribbon.png"
    )


def test_a_disk_that_fills_up_is_one_line_and_leaves_nothing(
    tmp_path: Path, photographs: Callable[[int], Path]
) -> None:
    """The system refuses the process files beyond some size, as a full disk would."""
    program = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "from darkroom.runtime.cli import step_command\n"
        "from components.ingest.ingest import ingest\n"
        "step_command(ingest)\n"
    )
    outputs = {name: tmp_path / "out" / name for name in ("examples", "rejected", "statistics")}
    options = [part for name, path in outputs.items() for part in (f"--{name}", str(path))]
    command = [sys.executable, "-c", program, "--data", str(photographs(40)), *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("[ingest] error: cannot write ")
    assert "File too large" in last
    assert not any(path.exists() for path in outputs.values())
    assert not list((tmp_path / "out").glob(".*"))

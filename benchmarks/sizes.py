"""What one more photograph costs ingest and transform, by its size (docs/scale.md)."""

import io
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.ingest import SCALE, ingest_command
from benchmarks.photographs import FLOWERS, size_of, with_comment
from benchmarks.processes import cost, interleaved, seconds, spread, table

SIZES = {"30 kB": (320, 8_000), "100 kB": (1024, 3_000), "3 MB": (4000, 480)}
"""Longest side in pixels, and the larger number of photographs; the smaller is a quarter."""
DISTINCT = 120
"""Photographs with pixels of their own among those that are made larger, which takes long."""
_SIDE_OF_SOURCES = 320
SIDE = 224


def measure() -> str:
    """Runs both steps over few and many photographs of every size, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        commands, bytes_of = {}, {}
        for name, (side, many) in SIZES.items():
            for count in (round(many * SCALE) // 4, round(many * SCALE)):
                place = Path(folder) / f"{name} {count}"
                write(place / "photographs", side, count)
                bytes_of[name] = size_of(place / "photographs") / count
                commands[f"ingest / {name} / {count}"] = ingest_command(
                    place / "photographs", "{out}"
                )
                cost(ingest_command(place / "photographs", str(place)))
                commands[f"transform / {name} / {count}"] = _transform(place)
        costs = interleaved(commands)
    rows = []
    for name, (_, many) in SIZES.items():
        few, all_ = round(many * SCALE) // 4, round(many * SCALE)
        for step in ("ingest", "transform"):
            times = (seconds(costs[f"{step} / {name} / {count}"]) for count in (few, all_))
            each = [
                (b - a) / (all_ - few) * 1000 * len(os.sched_getaffinity(0))
                for a, b in zip(*times, strict=True)
            ]
            rows.append([step, f"{bytes_of[name] / 1000:,.0f} kB", spread(each, 2)])
    return table(["step", "a photograph", "ms of a core for one more"], rows)


def write(folder: Path, side: int, count: int) -> None:
    """Photographs of a longest side, a little noise on them as cameras make it.

    Args:
        folder: Where they go, in label folders.
        side: Pixels.
        count: How many.
    """
    random = np.random.default_rng(side)
    sources = sorted(FLOWERS.glob("*/*.jpg"))
    made: dict[Path, bytes] = {}
    distinct = len(sources) if side <= _SIDE_OF_SOURCES else DISTINCT
    for number in range(count):
        source = sources[number % distinct * 7 % len(sources)]
        if source not in made:
            made[source] = _enlarged(source, side, random)
        path = folder / source.parent.name / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(with_comment(made[source], number))


def _enlarged(source: Path, side: int, random: np.random.Generator) -> bytes:
    with Image.open(source) as image:
        picture = image.convert("RGB")
    scale = side / max(picture.size)
    if scale > 1:
        picture = picture.resize([round(length * scale) for length in picture.size])
        noise = random.normal(0, 3, (*picture.size[::-1], 1))
        pixels = np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8)
        picture = Image.fromarray(pixels)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _transform(place: Path) -> list[str]:
    command = [sys.executable, "-m", "components.transform", "--examples", f"{place}/examples"]
    outputs = ["--transform-graph", "{out}/graph", "--transformed-examples", "{out}/examples"]
    return [*command, *outputs, "--settings", f'{{"image_size": {SIDE}}}']

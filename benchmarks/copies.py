"""Which copies of a photograph ingest finds: recall by kind, and pairs on real photographs."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from benchmarks.photographs import FLOWERS
from components.ingest.settings import IngestSettings
from components.ingest.splits.compared import Compared
from components.ingest.splits.duplicates import nearest_copies
from components.ingest.splits.sightings import SIGHTING_FIELDS
from darkroom.images.photograph import read_photograph

Picture = Image.Image


def _crop(share: float) -> Callable[[Picture, np.random.Generator], Picture]:
    """Cuts a share off each side's length, here or there."""

    def crop(picture: Picture, random: np.random.Generator) -> Picture:
        width, height = picture.size
        left, top = random.random(2) * share
        box = (width * left, height * top, width * (1 - share + left), height * (1 - share + top))
        return picture.crop(tuple(round(edge) for edge in box))

    return crop


def _border(share: float, colour: str) -> Callable[[Picture, np.random.Generator], Picture]:
    return lambda picture, _: ImageOps.expand(picture, round(share * min(picture.size)), colour)


def _watermarked(picture: Picture, _: np.random.Generator) -> Picture:
    layer = Image.new("RGBA", picture.size)
    place = (picture.width * 0.1, picture.height * 0.45)
    size = picture.height // 7
    ImageDraw.Draw(layer).text(place, "SAMPLE PHOTO", fill=(255, 255, 255, 140), font_size=size)
    return Image.alpha_composite(picture.convert("RGBA"), layer)


KINDS: dict[str, Callable[[Picture, np.random.Generator], Picture]] = {
    "JPEG of quality 40": lambda picture, _: picture,
    "half the size": lambda picture, _: picture.reduce(2),
    "20 % brighter": lambda picture, _: ImageEnhance.Brightness(picture).enhance(1.2),
    "grey": lambda picture, _: picture.convert("L"),
    "blurred, radius 1": lambda picture, _: picture.filter(ImageFilter.GaussianBlur(1)),
    "mirrored": lambda picture, _: ImageOps.mirror(picture),
    "white border of 5 %": _border(0.05, "white"),
    "black border of 10 %": _border(0.1, "black"),
    "mirrored, white border": lambda picture, random: _border(0.05, "white")(
        ImageOps.mirror(picture), random
    ),
    "5 % cropped off each side's length": _crop(0.05),
    "10 % cropped off each side's length": _crop(0.1),
    "watermark across": _watermarked,
}


def copy_of(picture: Picture, kind: str, random: np.random.Generator) -> bytes:
    """A copy as a JPEG."""
    buffer = io.BytesIO()
    changed = KINDS[kind](picture, random).convert("RGB")
    changed.save(buffer, "JPEG", quality=40 if kind.startswith("JPEG") else 85)
    return buffer.getvalue()


def hashed(photographs: Sequence[bytes]) -> pa.Table:
    """What ingest compares of photographs, without what it knows of their rows."""
    found = [read_photograph(data) for data in photographs]
    columns = {
        "perceptual_hash": [int(photograph.perceptual_hash, 16) for photograph in found],
        "copy_hashes": [bytes.fromhex(photograph.copy_hashes) for photograph in found],
    }
    fields = [field for field in SIGHTING_FIELDS if field.name in columns]
    return pa.table(columns, schema=pa.schema(fields))


def compared(hashes: pa.Table) -> Compared:
    """Photographs as they are compared."""
    return Compared.of_tables([hashes])


def recall(files: Sequence[Path], seed: int = 0) -> dict[str, float]:
    """The share of made copies that are found to be copies of their own originals, by kind."""
    random = np.random.default_rng(seed)
    distance = IngestSettings().near_duplicate_distance
    originals = compared(hashed([file.read_bytes() for file in files]))
    found = {}
    for kind in KINDS:
        copies = []
        for file in files:
            with Image.open(file) as picture:
                copies.append(copy_of(picture.convert("RGB"), kind, random))
        nearest = nearest_copies(compared(hashed(copies)), originals, distance)
        found[kind] = float(np.mean(nearest.places == np.arange(len(files))))
    return found


def pairs(files: Sequence[Path]) -> list[tuple[Path, Path, int]]:
    """Pairs of files that are found to be copies, for people to look at."""
    hashes = hashed([file.read_bytes() for file in files])
    distance = IngestSettings().near_duplicate_distance
    # Each against those after it, in two halves, and so on: the nearest of each in every split.
    found = {}
    for bit in range(len(files).bit_length()):
        ours, theirs = ([n for n in range(len(files)) if n >> bit & 1 == side] for side in (0, 1))
        nearest = nearest_copies(
            compared(hashes.take(ours)), compared(hashes.take(theirs)), distance
        )
        for one, index, bits in zip(ours, nearest.places, nearest.bits, strict=True):
            if index >= 0:
                pair = sorted((one, theirs[index]))
                found[pair[0], pair[1]] = int(bits)
    return [(files[one], files[other], bits) for (one, other), bits in sorted(found.items())]


def measure() -> str:
    """The table of recall, and the number of pairs among the real photographs."""
    files = sorted(FLOWERS.glob("*/*.jpg"))
    lines = ["| kind of copy | found |", "|---|---|"]
    for kind, share in recall(files[:: len(files) // 150][:150]).items():
        lines.append(f"| {kind} | {share:.0%} |")
    found = pairs(files)
    lines += ["", f"{len(found)} pairs among the {len(files):,} photographs as they are:", ""]
    lines += [f"{one.name} {other.name} ({bits} bits)" for one, other, bits in found]
    return "\n".join(lines)

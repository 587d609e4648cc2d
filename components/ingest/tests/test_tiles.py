"""Large images make an example a tile, labelled by the image or by its mask."""

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from components.ingest.images.tiles import read_tiled, tiles_of
from components.ingest.settings import IngestSettings, TileSettings
from components.ingest.sources.rows import Row
from components.ingest.tests.pictures import encoded, gradient, write_csv
from components.ingest.tests.test_photograph import READABLE, seen
from components.ingest.tests.tiled import GRID, MASKED, box_of, by_image
from darkroom.artifacts.rejected import RejectedError
from darkroom.artifacts.tiles import Box, cut, tile_boxes
from darkroom.errors import SettingsError, StepError
from darkroom.images.photograph import Limits, read_photograph
from darkroom.settings import validate_settings

RunIngest = Callable[..., Any]
Pixels = npt.NDArray[np.uint8]


def write_folder(folder: Path) -> Path:
    for number in range(90):
        label = folder / ("rose" if number % 2 else "tulip")
        label.mkdir(parents=True, exist_ok=True)
        size = (20 + number % 30, 16 + number % 7)
        (label / f"{number}.png").write_bytes(encoded(gradient(number, size), "PNG"))
    return folder


@pytest.mark.slow
def test_the_tiles_of_a_folder(tmp_path: Path, run_ingest: RunIngest) -> None:
    data = write_folder(tmp_path / "data")
    ingested = run_ingest(data, tiles=GRID, near_duplicate_distance=-1)
    whole = run_ingest(data, "whole", near_duplicate_distance=-1)
    splits = {r["image_path"][0]: split for split, rs in whole.records.items() for r in rs}
    for split, records in ingested.records.items():
        for image, tiles in by_image(records).items():
            pixels = seen((data / image).read_bytes())
            height, width = pixels.shape[:2]
            boxes = [box_of(tile) for tile in tiles]
            assert boxes == tile_boxes(height, width, **GRID)
            for tile, expected in zip(tiles, cut(pixels, boxes), strict=True):
                np.testing.assert_array_equal(seen(tile["image_bytes"][0]), expected)
                assert tile["label"][0].decode() == image.split("/")[0]
            (source,) = {tile["source_image_id"][0] for tile in tiles}
            assert source.decode() == read_id(data / image)
            assert splits[image.encode()] == split
    ids = [record["image_id"][0] for record in ingested.all_records]
    assert len(set(ids)) == len(ids) == sum(ingested.examples.counts.values()) > 90
    assert ingested.examples.columns == {
        "tile_top": "int",
        "tile_left": "int",
        "source_image_id": "bytes",
    }
    counts = Counter(record["label"][0].decode() for record in ingested.all_records)
    stated = Counter[str]()
    for of_split in ingested.statistics["counts"].values():
        stated.update(of_split)
    assert stated == counts
    assert ingested.statistics["photographs"] == ingested.examples.counts
    assert ingested.statistics["formats"] == {"PNG": 90}
    card = (ingested.examples.folder.parent / "statistics" / "card.md").read_text()
    assert f"# Data card: {len(ids):,} tiles with 2 labels" in card
    assert "| of photographs | 90 |" in card


def read_id(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def tiles_from(data: bytes, size: int = 16, stride: int = 16) -> list[tuple[Box, bytes]]:
    tiled = read_tiled(data, None, Limits(), TileSettings(size=size, stride=stride), ())
    made = tiles_of(Row("image", "", "rose"), tiled, "id", ())
    return [(box, tile.image_bytes) for box, (_, tile, _) in zip(tiled.boxes, made, strict=True)]


RGB_JPEG = encoded(gradient(7, (40, 30)), "JPEG", keep_rgb=True)


@pytest.mark.slow
@pytest.mark.parametrize("data", [*READABLE.values(), RGB_JPEG], ids=[*READABLE, "rgb jpeg"])
def test_tiles_show_what_a_person_sees(data: bytes) -> None:
    import tensorflow as tf

    whole = read_photograph(data)
    lossless = whole.file_format not in ("JPEG", "WEBP")
    expected = seen(data).astype(int)
    for box, image_bytes in tiles_from(data):
        tile = tf.io.decode_image(image_bytes, channels=3, expand_animations=False).numpy()
        (part,) = cut(expected, [box])
        assert tile.shape == part.shape
        difference = np.abs(tile.astype(int) - part)
        assert difference.max() <= (0 if lossless else 40)
        assert difference.mean() < 3
        assert Image.open(io.BytesIO(image_bytes)).format == ("PNG" if lossless else "JPEG")


@pytest.mark.parametrize("data", [*READABLE.values(), RGB_JPEG], ids=[*READABLE, "rgb jpeg"])
def test_cutting_changes_nothing_that_is_known_of_the_whole(data: bytes) -> None:
    tiled = read_tiled(data, None, Limits(), TileSettings(size=16), ())
    whole = read_photograph(data)
    assert tiled.photograph.image_bytes == data
    for name in ("height", "width", "brightness", "contrast", "sharpness", "perceptual_hash"):
        assert getattr(tiled.photograph, name) == getattr(whole, name), name


def test_an_image_no_larger_than_a_tile_stays_as_it_is() -> None:
    for name in ("jpeg", "png"):
        assert tiles_from(READABLE[name], 40) == [(Box(0, 0, 30, 40), READABLE[name])]
    ((box, image_bytes),) = tiles_from(READABLE["rotated jpeg"], 40)
    assert (box, seen(image_bytes).shape) == (Box(0, 0, 40, 30), (40, 30, 3))


def test_one_channel_stays_one_channel() -> None:
    for name in ("grey jpeg", "grey png", "16-bit png", "black and white png"):
        modes = {Image.open(io.BytesIO(tile)).mode for _, tile in tiles_from(READABLE[name])}
        assert modes == {"L"}


@pytest.mark.slow
def test_blank_tiles_are_no_copies(tmp_path: Path, run_ingest: RunIngest) -> None:
    for number in range(60):
        canvas = Image.new("RGB", (64, 64), "white")
        canvas.paste(gradient(number, (16, 16)), (16 * (number % 4), 0))
        path = tmp_path / "data" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(canvas, "PNG"))
    twice = tmp_path / "data" / "a" / "copy.png"
    twice.write_bytes((tmp_path / "data" / "a" / "0.png").read_bytes())
    ingested = run_ingest(tmp_path / "data", tiles={"size": 16}, near_duplicate_distance=-1)
    assert ingested.reasons == {"a/copy.png": "duplicate"}
    assert {len(tiles) for tiles in by_image(ingested.all_records).values()} == {16}


@pytest.mark.slow
def test_shares_of_rejected_rows_count_rows_not_tiles(
    tmp_path: Path, run_ingest: RunIngest
) -> None:
    data = write_folder(tmp_path / "data")
    for number in range(10):
        (data / "rose" / f"bad {number}.png").write_bytes(b"no image")
    with pytest.raises(StepError, match=r"10 of 100 rows rejected \(10.0%"):
        run_ingest(data, tiles=GRID, near_duplicate_distance=-1)


def test_the_limit_of_pixels_is_one_of_whole_images() -> None:
    with pytest.raises(RejectedError, match="too_many_pixels"):
        read_tiled(READABLE["png"], None, Limits(pixels=1199), TileSettings(size=8), ())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tiles": {"size": 16, "stride": 17}}, "'ingest.tiles': stride 17 leaves pixels out"),
        ({"tiles": {"size": 16, "mask_column": "m"}}, "needs labels"),
        ({"tiles": {"stride": 16}}, "'ingest.tiles.size' is missing"),
        ({**MASKED, "conflicting_labels": "keep"}, "cannot unite the labels of two masks"),
        ({**MASKED, "group_by": "mask"}, "is the name of another column"),
    ],
)
def test_settings_that_go_not_together(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        validate_settings(IngestSettings, settings, "ingest")


def test_columns_that_are_not_there_or_taken(tmp_path: Path, run_ingest: RunIngest) -> None:
    rows = [{"image": "a.png", "label": "rot", "masks": "x", "tile_top": "3"}]
    table = write_csv(tmp_path / "table.csv", rows)
    with pytest.raises(StepError, match="'tile_top' is used by Darkroom"):
        run_ingest(table, **MASKED)
    del rows[0]["tile_top"]
    with pytest.raises(SettingsError, match="no row has a 'mask'; did you mean 'masks'"):
        run_ingest(write_csv(table, rows), **MASKED)

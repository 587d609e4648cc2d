"""Label masks, which label the tiles of an image."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from components.ingest.tests.pictures import encoded, gradient, write_csv
from components.ingest.tests.tiled import GRID, LABELS, MASKED, box_of, by_image
from darkroom.artifacts.tiles import assembled, cut, tile_boxes

RunIngest = Callable[..., Any]
Pixels = npt.NDArray[np.uint8]


def mask_of(seed: int, height: int, width: int) -> Pixels:
    """Mostly 0, with spots of 1 and 2."""
    generator = np.random.default_rng(seed)
    return generator.choice(3, (height, width), p=[0.997, 0.002, 0.001]).astype(np.uint8)


def write_masked(folder: Path, images: int = 60) -> list[dict[str, str]]:
    folder.mkdir()
    rows = []
    for number in range(images):
        width, height = 40 + number % 20, 30
        picture = encoded(gradient(number, (width, height)), "PNG")
        (folder / f"{number}.png").write_bytes(picture)
        mask = Image.fromarray(mask_of(number, height, width))
        (folder / f"mask {number}.png").write_bytes(encoded(mask, "PNG"))
        rows.append({"image": f"{number}.png", "mask": f"mask {number}.png", "field": "north"})
    return rows


def masked_labels(image: str, tiles: list[dict[str, Any]]) -> list[str]:
    number = int(image.removesuffix(".png"))
    mask = mask_of(number, 30, 40 + number % 20)
    return [LABELS[part.max()] for part in cut(mask, map(box_of, tiles))]


@pytest.mark.slow
def test_a_mask_labels_its_tiles(tmp_path: Path, run_ingest: RunIngest) -> None:
    rows = write_masked(tmp_path / "data")
    ingested = run_ingest(write_csv(tmp_path / "data" / "table.csv", rows), **MASKED)
    assert not ingested.rejected
    assert ingested.examples.labels == tuple(sorted(LABELS))
    assert ingested.examples.columns["field"] == "bytes"
    assert "mask" not in ingested.examples.columns
    counts = Counter[str]()
    for image, tiles in by_image(ingested.all_records).items():
        expected = masked_labels(image, tiles)
        assert [tile["label"][0].decode() for tile in tiles] == expected
        counts.update(expected)
        # What tiles say of an image is put together again by their features alone.
        answers = np.eye(3)[[LABELS.index(label) for label in expected]]
        tile_map = assembled([box_of(tile) for tile in tiles], answers)
        assert tile_map.pixels().shape == (30, 40 + int(image.removesuffix(".png")) % 20, 3)
    assert set(counts) == set(LABELS)
    stated = Counter[str]()
    for of_split in ingested.statistics["counts"].values():
        stated.update(of_split)
    assert stated == counts


@pytest.mark.slow
def test_masks_that_fit_not_are_rejected(tmp_path: Path, run_ingest: RunIngest) -> None:
    rows = write_masked(tmp_path / "data")
    mask = mask_of(1, 30, 41)
    mask[:16] = 0
    mask[0, :2] = 1, 2
    palette = Image.fromarray(mask, "P")
    palette.putpalette([200, 10, 10] * 256)
    small, void = mask[:-1], np.where(mask == 2, 255, mask).astype(np.uint8)
    for name, image, file_format in (
        ("small", Image.fromarray(small), "PNG"),
        ("turned", Image.fromarray(mask.T.copy()), "PNG"),
        ("void", Image.fromarray(void), "PNG"),
        ("lossy", Image.fromarray(mask), "JPEG"),
        ("colours", Image.fromarray(np.stack([mask] * 3, -1)), "PNG"),
        ("palette", palette, "PNG"),
        ("deep", Image.fromarray(mask.astype(np.uint16)), "PNG"),
        ("bits", Image.fromarray(mask > 0), "TIFF"),
    ):
        path = tmp_path / "data" / f"{name} mask"
        path.write_bytes(encoded(image, file_format))
        rows.append({"image": f"{name}.png", "mask": path.name, "field": ""})
    rows += [
        {"image": "absent.png", "mask": "no such mask", "field": ""},
        {"image": "cut.png", "mask": "cut mask", "field": ""},
        {"image": "none.png", "mask": "", "field": ""},
    ]
    whole = (tmp_path / "data" / "deep mask").read_bytes()
    (tmp_path / "data" / "cut mask").write_bytes(whole[: len(whole) // 2])
    for number, row in enumerate(rows[60:]):
        picture = encoded(gradient(500 + number, (41, 30)), "PNG")
        (tmp_path / "data" / row["image"]).write_bytes(picture)
    ingested = run_ingest(write_csv(tmp_path / "data" / "table.csv", rows), **MASKED)
    unlabelled = next(name for name in ingested.reasons if "none.png" in name)
    assert ingested.reasons == {
        "small.png": "mask_of_another_size",
        "turned.png": "mask_of_another_size",
        "void.png": "unknown_mask_value",
        "lossy.png": "unreadable_mask",
        "colours.png": "unreadable_mask",
        "absent.png": "unreadable_mask",
        "cut.png": "unreadable_mask",
        unlabelled: "no_label",
    }
    details = {row["row"].get("image"): row["detail"] for row in ingested.rejected}
    assert details["void.png"].endswith("void mask holds 255: ingest.labels has 0 to 2")
    assert details["small.png"].endswith("41 x 29 pixels, not 41 x 30")
    assert details["absent.png"].endswith("no such mask: no such file")
    images = by_image(ingested.all_records)
    expected = [LABELS[part.max()] for part in cut(mask, tile_boxes(30, 41, **GRID))]
    for name in ("palette.png", "deep.png"):
        assert [tile["label"][0].decode() for tile in images[name]] == expected
    assert {tile["label"][0] for tile in images["bits.png"]} == {b"sound", b"bruise"}


@pytest.mark.slow
def test_rows_with_and_without_a_mask(tmp_path: Path, run_ingest: RunIngest) -> None:
    rows = write_masked(tmp_path / "data")
    for number, row in enumerate(rows):
        row["label"] = "rot" if number % 2 else ""
        row["mask"] = "" if number % 2 else row["mask"]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "data" / "table.jsonl").write_text(lines)
    ingested = run_ingest(tmp_path / "data" / "table.jsonl", **MASKED)
    for image, tiles in by_image(ingested.all_records).items():
        by_row = int(image.removesuffix(".png")) % 2
        expected = ["rot"] * len(tiles) if by_row else masked_labels(image, tiles)
        assert [tile["label"][0].decode() for tile in tiles] == expected


@pytest.mark.slow
def test_a_new_mask_makes_an_image_new(tmp_path: Path, run_ingest: RunIngest) -> None:
    rows = write_masked(tmp_path / "data")
    table = write_csv(tmp_path / "data" / "table.csv", rows)
    first = run_ingest(table, "first", **MASKED)
    bruised = Image.fromarray(np.full((30, 43), 1, np.uint8))
    (tmp_path / "data" / "mask 3.png").write_bytes(encoded(bruised, "PNG"))
    second = run_ingest(table, "second", previous=str(first.examples.folder), **MASKED)
    full = run_ingest(table, "full", **MASKED)
    assert {tile["label"][0] for tile in by_image(second.all_records)["3.png"]} == {b"bruise"}
    for split in ("train", "valid", "test"):
        one, other = (sorted(map(str, ingested.records[split])) for ingested in (second, full))
        assert one == other
    assert second.statistics == full.statistics


@pytest.mark.slow
def test_an_image_with_two_masks_is_a_conflict(tmp_path: Path, run_ingest: RunIngest) -> None:
    rows = write_masked(tmp_path / "data")
    rows.append({**rows[0], "mask": "other.png"})
    other = Image.fromarray(np.full((30, 40), 1, np.uint8))
    (tmp_path / "data" / "other.png").write_bytes(encoded(other, "PNG"))
    ingested = run_ingest(write_csv(tmp_path / "data" / "table.csv", rows), **MASKED)
    assert [row["reason"] for row in ingested.rejected] == ["conflicting_labels"] * 2

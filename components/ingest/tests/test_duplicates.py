"""Duplicates are found over hashes alone, exactly as comparing all pairs would find them."""

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import imagehash
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageOps

from components.ingest.settings import IngestSettings
from components.ingest.splits import duplicates
from components.ingest.splits.compared import Compared
from components.ingest.splits.copy import Copy
from components.ingest.splits.duplicates import Duplicates
from components.ingest.splits.sightings import SIGHTING_FIELDS
from components.ingest.tests.pictures import encoded, gradient, write_csv
from darkroom.artifacts.rejected import Reason
from darkroom.images.copy_hashes import perceptual_hash
from darkroom.images.photograph import read_photograph


class HashedImage(NamedTuple):
    """A photograph, as far as copies are concerned; its content digest by a short name."""

    image_id: str
    perceptual_hash: int
    label: str
    split: str
    labels: Sequence[str] = ()
    tile_values: str = ""
    copy_hashes: bytes = b""
    pseudo_labelled: bool = False
    group_key: int | None = None


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def table_of(sightings: Sequence[HashedImage]) -> pa.Table:
    rows = [
        {**one._asdict(), "ordinal": place, "image_id": bytes.fromhex(digest(one.image_id))}
        for place, one in enumerate(sightings)
    ]
    return pa.Table.from_pylist(rows, pa.schema(SIGHTING_FIELDS))


class InMemory:
    """Photographs in one table."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def facts(self) -> pa.Table:
        return self._table

    def in_splits(self, splits: Sequence[str]) -> Iterator[pa.Table]:
        # Each by itself: what is held at once has no say in what is found.
        found = duplicates.in_splits(self._table, splits)
        yield from (found.slice(place, 1) for place in range(found.num_rows))
        yield found.slice(0, 0)


def find_copies(sightings: Sequence[HashedImage], settings: IngestSettings) -> Duplicates:
    found = duplicates.find_copies(InMemory(table_of(sightings)), settings)
    for one in sightings:
        for place, copy in found.dropped.items():
            detail = copy.detail.replace(digest(one.image_id), one.image_id)
            twin = one.image_id if copy.twin == digest(one.image_id) else copy.twin
            found.dropped[place] = Copy(copy.reason, detail, twin)
    return found


def nearest_copies(
    ours: Sequence[HashedImage], theirs: Sequence[HashedImage], distance: int
) -> list[tuple[int, int]]:
    nearest = duplicates.nearest_copies(
        Compared.of_tables([table_of(ours)]), Compared.of_tables([table_of(theirs)]), distance
    )
    return list(zip(nearest.places.tolist(), nearest.bits.tolist(), strict=True))


def sighting(image_id: str, number: int, split: str, label: str = "rose") -> HashedImage:
    return HashedImage(image_id, number, label, split)


def test_what_is_kept_and_what_goes() -> None:
    sightings = [
        sighting("a", 0b0, "train"),
        sighting("b", 0xFFFF, "train"),
        sighting("a", 0b0, "train"),
        sighting("c", 0b11, "test"),
        sighting("d", 0xFF00FF00, "valid", "rose"),
        sighting("d", 0xFF00FF00, "valid", "tulip"),
        sighting("e", 0b111, "valid"),
        sighting("f", 0xFF00FF00, "train"),
    ]
    copies = find_copies(sightings, IngestSettings()).dropped
    assert {place: (copy.reason, copy.twin) for place, copy in copies.items()} == {
        2: (Reason.DUPLICATE, "c"),
        4: (Reason.CONFLICTING_LABELS, None),
        5: (Reason.CONFLICTING_LABELS, None),
        0: (Reason.NEAR_DUPLICATE, "c"),
        6: (Reason.NEAR_DUPLICATE, "c"),
    }
    assert copies[4].detail == "the same photograph is labelled rose, tulip"
    assert "c in test (2 of 64 bits)" in copies[0].detail
    kept = find_copies(sightings, IngestSettings(duplicates="keep", near_duplicate_distance=-1))
    assert set(kept.dropped) == {4, 5}
    merged_labels = find_copies(
        [s._replace(labels=[s.label]) for s in sightings],
        IngestSettings(conflicting_labels="keep", duplicates="keep", near_duplicate_distance=-1),
    )
    assert merged_labels.merged_labels == {4: ("rose", "tulip")}
    assert {place: (copy.reason, copy.twin) for place, copy in merged_labels.dropped.items()} == {
        5: (Reason.DUPLICATE, "d")
    }


def test_one_photograph_with_two_masks_is_a_conflict() -> None:
    masked = [HashedImage("a", 0, "rose", "train", (), values) for values in ("0 1", "0 1", "1 0")]
    assert find_copies(masked[:2], IngestSettings()).dropped.keys() == {1}
    conflict = find_copies(masked, IngestSettings()).dropped
    assert {copy.reason for copy in conflict.values()} == {Reason.CONFLICTING_LABELS}
    assert len(conflict) == 3


def test_a_leak_is_not_kept_with_the_labels_of_its_copies() -> None:
    sightings = [
        HashedImage("a", 0, "rose", "train", ["rose"]),
        HashedImage("a", 0, "tulip", "train", ["tulip"]),
        HashedImage("b", 1, "rose", "test", ["rose"]),
    ]
    copies = find_copies(sightings, IngestSettings(conflicting_labels="keep"))
    assert copies.merged_labels == {}
    assert {place: (copy.reason, copy.twin) for place, copy in copies.dropped.items()} == {
        0: (Reason.NEAR_DUPLICATE, "b"),
        1: (Reason.DUPLICATE, "b"),
    }


def test_re_encoded_and_resized_copies_share_most_of_the_hash(flowers: Path) -> None:
    for file in sorted(flowers.glob("*/*.jpg"))[::200]:
        original = read_photograph(file.read_bytes())
        with Image.open(file) as image:
            half = image.resize((image.width // 2, image.height // 2))
            copies = [
                encoded(image, "JPEG", quality=60),
                encoded(image, "PNG"),
                encoded(half, "PNG"),
            ]
        for copy in copies:
            photograph = read_photograph(copy)
            difference = int(original.perceptual_hash, 16) ^ int(photograph.perceptual_hash, 16)
            assert difference.bit_count() <= 4, file


def copies_of_flowers(flowers: Path, folder: Path) -> Path:
    """Real photographs, each with a copy of the same bytes and one that is encoded again."""
    for number, file in enumerate(sorted(flowers.glob("*/*.jpg"))[::30]):
        label = folder / file.parent.name
        label.mkdir(parents=True, exist_ok=True)
        data = file.read_bytes()
        (label / file.name).write_bytes(data)
        (label / f"copy {file.name}").write_bytes(data)
        with Image.open(io.BytesIO(data)) as image:
            small = encoded(image.resize((200, 200)), "JPEG", quality=50 + number % 40)
            (label / f"small {file.name}").write_bytes(small)
    return folder


def test_no_two_splits_share_a_photograph(
    tmp_path: Path, run_ingest: Callable[..., Any], flowers: Path
) -> None:
    ingested = run_ingest(copies_of_flowers(flowers, tmp_path / "data"))
    reasons = [row["reason"] for row in ingested.rejected]
    assert set(reasons) == {"duplicate", "near_duplicate"}
    assert reasons.count("duplicate") == 117
    splits: dict[str, list[int]] = {}
    for split, records in ingested.records.items():
        for record in records:
            number = int(read_photograph(record["image_bytes"][0]).perceptual_hash, 16)
            splits.setdefault(split, []).append(number)
    held_out = [*splits["valid"], *splits["test"]]
    assert all((a ^ b).bit_count() > 6 for a in splits["train"] for b in held_out)
    assert all((a ^ b).bit_count() > 6 for a in splits["valid"] for b in splits["test"])
    kept = {record["image_id"][0].decode() for record in ingested.all_records}
    assert {row["twin"] for row in ingested.rejected} <= kept


@pytest.mark.slow
def test_every_runner_gives_the_same_records(
    tmp_path: Path, run_ingest: Callable[..., Any], flowers: Path
) -> None:
    data = copies_of_flowers(flowers, tmp_path / "data")
    runners = {
        "our processes": [],
        "in memory": ["--runner=DirectRunner"],
        "Beam's processes": ["--direct_running_mode=multi_processing", "--direct_num_workers=2"],
        "bundles": ["--runner=BundleBasedDirectRunner"],
    }
    given = {
        name: run_ingest(data, name, beam_options=options, shard_bytes=1_000_000)
        for name, options in runners.items()
    }
    one = given["our processes"]
    assert len(one.examples.shards("train")) > 1
    for other in given.values():
        assert other.records == one.records
        assert sorted(map(str, other.rejected)) == sorted(map(str, one.rejected))
        assert other.statistics == one.statistics
        assert other.examples.manifest["digest"] == one.examples.manifest["digest"]


def conflicting(folder: Path) -> Path:
    for label in ("rose", "tulip"):
        (folder / label).mkdir(parents=True)
        for number in range(60):
            picture = encoded(gradient(number + 100 * (label == "rose")), "PNG")
            (folder / label / f"{number}.png").write_bytes(picture)
        (folder / label / "both.png").write_bytes(encoded(gradient(999), "PNG"))
    return folder


def test_a_photograph_under_two_labels_is_reported(
    tmp_path: Path, run_ingest: Callable[..., Any]
) -> None:
    ingested = run_ingest(conflicting(tmp_path / "data"), near_duplicate_distance=-1)
    assert ingested.reasons == {
        "rose/both.png": "conflicting_labels",
        "tulip/both.png": "conflicting_labels",
    }
    assert ingested.statistics["merged_labels"] == 0
    assert not ingested.examples.multi_label
    assert not any("labels" in record for record in ingested.all_records)


def test_a_photograph_under_two_labels_is_kept_with_both(
    tmp_path: Path, run_ingest: Callable[..., Any]
) -> None:
    ingested = run_ingest(
        conflicting(tmp_path / "data"), near_duplicate_distance=-1, conflicting_labels="keep"
    )
    assert ingested.reasons == {"tulip/both.png": "duplicate"}
    assert ingested.examples.labels == ("rose", "tulip")
    assert ingested.examples.multi_label
    labels = {r["image_path"][0]: (r["label"], r["labels"]) for r in ingested.all_records}
    assert labels[b"rose/both.png"] == ([b"rose tulip"], [b"rose", b"tulip"])
    assert labels[b"rose/1.png"] == ([b"rose"], [b"rose"])
    assert len(labels) == len(ingested.all_records) == 121
    (rejected,) = ingested.rejected
    both = {r["image_id"][0].decode() for r in ingested.all_records if len(r["labels"]) == 2}
    assert both == {rejected["twin"]}
    assert "rose, tulip" in rejected["detail"]
    counts = ingested.statistics["counts"].values()
    assert sum(count["rose"] for count in counts) == sum(count["tulip"] for count in counts) == 61
    assert (sum(ingested.examples.counts.values()), ingested.statistics["merged_labels"]) == (
        121,
        1,
    )
    card = (ingested.examples.folder.parent / "statistics" / "card.md").read_text()
    assert "| kept with the labels of all copies | 1 |" in card


@pytest.mark.parametrize("separator", [None, "|"])
def test_conflicts_in_a_table_are_united(
    tmp_path: Path, run_ingest: Callable[..., Any], separator: str | None
) -> None:
    rows = []
    for number in range(60):
        (tmp_path / f"{number}.png").write_bytes(encoded(gradient(number), "PNG"))
        rows.append({"image": f"{number}.png", "label": "rose" if number % 2 else "tulip"})
    for label in ("violet", "tulip|daisy"):
        rows.append({"image": f"./{rows[0]['image']}", "label": label})
    ingested = run_ingest(
        write_csv(tmp_path / "table.csv", rows),
        near_duplicate_distance=-1,
        conflicting_labels="keep",
        label_separator=separator,
    )
    (merged_labels,) = (r for r in ingested.all_records if r["image_path"] == [b"0.png"])
    daisy = [b"tulip|daisy"] if separator is None else [b"daisy", b"tulip"]
    assert merged_labels["labels"] == sorted({b"tulip", b"violet", *daisy})
    assert merged_labels["label"] == [(separator or " ").encode().join(merged_labels["labels"])]
    assert [row["reason"] for row in ingested.rejected] == ["duplicate"] * 2
    assert all(len(r["labels"]) == 1 for r in ingested.all_records if r is not merged_labels)


KINDS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "mirrored": ImageOps.mirror,
    "white border": lambda image: ImageOps.expand(image, image.height // 20, "white"),
    "black border": lambda image: ImageOps.expand(image, image.height // 10, "black"),
    "mirrored with a border": lambda image: ImageOps.expand(ImageOps.mirror(image), 12, "white"),
    "cropped all around": lambda image: ImageOps.crop(image, image.height // 40),
    "cropped on the left": lambda image: image.crop((image.width // 20, 0, *image.size)),
    "cropped in a corner": lambda image: image.crop(
        (0, 0, round(image.width * 0.95), round(image.height * 0.95))
    ),
    "smaller": lambda image: image.reduce(2),
}


@pytest.fixture(scope="module")
def originals(flowers: Path) -> list[tuple[Path, HashedImage]]:
    files = sorted(flowers.glob("*/*.jpg"))[::100]
    return [(file, hashed(file.read_bytes(), file.name)) for file in files]


def hashed(data: bytes, name: str, split: str = "train") -> HashedImage:
    photograph = read_photograph(data)
    copies = bytes.fromhex(photograph.copy_hashes)
    return HashedImage(name, int(photograph.perceptual_hash, 16), "a", split, (), "", copies)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_made_copies_are_found(kind: str, originals: list[tuple[Path, HashedImage]]) -> None:
    """Whichever of the two is the copy; `benchmarks.copies` has the whole table."""
    distance = IngestSettings().near_duplicate_distance
    copies = []
    for file, original in originals:
        with Image.open(file) as image:
            data = encoded(KINDS[kind](image.convert("RGB")), "JPEG", quality=85)
        copies.append(hashed(data, original.image_id))
    known = [original for _, original in originals]
    for ours, theirs in ((copies, known), (known, copies)):
        found = nearest_copies(ours, theirs, distance)
        right = sum(index == place for place, (index, _) in enumerate(found))
        assert right >= 0.9 * len(originals)
        assert all(index in (place, -1) for place, (index, _) in enumerate(found))


def test_valid_and_test_share_no_photograph_either() -> None:
    sightings = [
        sighting("v", 0x0F0F0F0F0F0F0F0F, "valid"),
        sighting("t", 0x0F0F0F0F0F0F0F0E, "test"),
        sighting("r", 0x0F0F0F0F0F0F0F3F, "train"),
    ]
    copies = find_copies(sightings, IngestSettings()).dropped
    assert {place: copy.twin for place, copy in copies.items()} == {0: "t", 2: "t"}


def test_equal_pictures_of_other_labels_are_a_conflict() -> None:
    """Their bytes differ, as those of one photograph saved twice."""
    picture = 0x0F0F0F0F0F0F0F0F
    sightings = [
        sighting("a", picture, "train", "rose"),
        sighting("b", picture, "test", "tulip"),
        sighting("c", picture ^ 0xFF, "train", "tulip"),
        sighting("d", 1, "train", "rose"),  # a blank image, as all of them are
        sighting("e", 1, "train", "tulip"),
    ]
    copies = find_copies(sightings, IngestSettings()).dropped
    assert {place: copy.reason for place, copy in copies.items()} == {
        0: Reason.CONFLICTING_LABELS,
        1: Reason.CONFLICTING_LABELS,
    }
    assert find_copies(sightings, IngestSettings(near_duplicate_distance=-1)).dropped == {}


def test_the_hash_of_a_photograph_is_that_of_imagehash(
    originals: list[tuple[Path, HashedImage]],
) -> None:
    for file, _ in originals:
        with Image.open(file) as image:
            grey = image.convert("L").reduce(3)
        expected = imagehash.phash(grey.resize((32, 32), Image.Resampling.BOX))
        assert perceptual_hash(grey).tobytes().hex() == str(expected)


def test_a_picture_of_one_grey_has_no_frequencies() -> None:
    for size in ((64, 64), (85, 64), (7, 31)):
        for value in (0, 1, 128, 255):
            found = perceptual_hash(Image.new("L", size, value)).tobytes().hex()
            assert found == ("8000000000000000" if value else "0000000000000000")


def test_the_hash_of_a_mirrored_copy_is_known_of_the_original(
    originals: list[tuple[Path, HashedImage]],
) -> None:
    for file, original in originals[:10]:
        with Image.open(file) as image:
            mirrored = hashed(encoded(ImageOps.mirror(image), "PNG"), "m")
        (known,) = np.frombuffer(original.copy_hashes[8:16], ">u8")
        assert (int(known) ^ mirrored.perceptual_hash).bit_count() <= 4

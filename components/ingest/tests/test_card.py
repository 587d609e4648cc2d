"""The data card shows what there is, loads nothing, and takes no name for markup."""

import base64
import hashlib
import io
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.ingest.card.card import PAGE, Contents, balance, write_card
from components.ingest.card.charts import charts
from components.ingest.card.pictures import (
    RECORDS_READ,
    SIDE,
    card_pictures,
    compared_copies,
    sample_pictures,
)
from components.ingest.card.samples import sample
from components.ingest.shards.entry import Entry
from components.ingest.tests.pictures import encoded, gradient
from components.ingest.validation import Finding
from darkroom.artifacts.rejected import Rejection
from darkroom.artifacts.statistics import Statistics
from darkroom.records.example_proto import parsed_example, serialized_example
from darkroom.records.tfrecord import write_record
from darkroom.tests.test_statistics import Facts
from darkroom.thumbnails import thumbnail

RunIngest = Callable[..., Any]
HOSTILE = "<b>x"


class Page(HTMLParser):
    """What a browser would make of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def decoded(uri: str | None) -> Image.Image:
    assert uri is not None
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """Reds and blues, with copies, a label conflict, and a label that looks like markup."""
    folder = tmp_path / "colours"
    for label, channel in (("red", 0), (HOSTILE, 2)):
        (folder / label).mkdir(parents=True)
        for number in range(60):
            pixels = np.asarray(gradient(number + 100 * channel, (32, 32))) // 4
            pixels[..., channel] += 190
            (folder / label / f"{number}.png").write_bytes(encoded(Image.fromarray(pixels), "PNG"))
    first = (folder / "red" / "0.png").read_bytes()
    (folder / "red" / "zz copy.png").write_bytes(first)
    conflicting = encoded(gradient(77, (64, 64)), "PNG")
    for label in ("red", HOSTILE):
        (folder / label / "conflict.png").write_bytes(conflicting)
    (folder / "red" / "bad <i>.png").write_bytes(b"no picture")
    return folder


def test_the_page_of_a_run(tmp_path: Path, colours: Path, run_ingest: RunIngest) -> None:
    ingested = run_ingest(colours, near_duplicate_distance=-1)
    text = (tmp_path / "out" / "statistics" / PAGE).read_text(encoding="utf-8")
    page = Page(text)
    # A name is text, and no element.
    assert not page.all("b")
    assert not page.all("i")
    assert HOSTILE in page.text
    assert "bad <i>.png" in page.text
    # Nothing is loaded from anywhere.
    assert not page.all("script")
    assert not page.all("link")
    assert not re.search(r"https?://|@import|url\(", text)
    # Every picture has a text beside it, and shows the label that it says.
    pictures = page.all("img")
    for picture in pictures:
        assert picture["alt"]
        decoded(picture["src"]).verify()
    assert all(svg["aria-label"] for svg in page.all("svg"))
    for label, channel in (("red", 0), (HOSTILE, 2)):
        samples = [p for p in pictures if re.fullmatch(f"{label}: {label}/\\d+.png", str(p["alt"]))]
        assert len(samples) >= 8
        for picture in samples:
            mean = np.asarray(decoded(picture["src"])).mean((0, 1))
            assert mean.argmax() == channel
    assert f"{sum(ingested.examples.counts.values())} photographs with 2 labels" in page.text


def test_copies_stand_beside_what_was_kept(
    tmp_path: Path, colours: Path, run_ingest: RunIngest
) -> None:
    run_ingest(colours, near_duplicate_distance=-1)
    page = Page((tmp_path / "out" / "statistics" / PAGE).read_text(encoding="utf-8"))
    assert "left out: red/zz copy.png" in page.text
    assert "kept: red/0.png" in page.text
    by_alt = {picture["alt"]: picture["src"] for picture in page.all("img")}
    assert by_alt["red: red/zz copy.png"] == by_alt["red: red/0.png"]
    assert {"red: red/conflict.png", f"{HOSTILE}: {HOSTILE}/conflict.png"} <= set(by_alt)
    assert page.text.count("none was kept") == 2


def test_a_near_duplicate_stands_beside_its_twin(tmp_path: Path, run_ingest: RunIngest) -> None:
    folder = tmp_path / "data"
    for number in range(80):
        path = folder / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(gradient(number, (64, 64)), "PNG"))
    ingested = run_ingest(folder, near_duplicate_distance=16, expectations={"minimum_per_label": 0})
    near = [row for row in ingested.rejected if row["reason"] == "near_duplicate"]
    assert near
    kept = {r["image_id"][0].decode(): r["image_path"][0] for r in ingested.all_records}
    page = Page((tmp_path / "out" / "statistics" / PAGE).read_text(encoding="utf-8"))
    shown = {picture["alt"] for picture in page.all("img")}
    for row in near[:24]:
        twin = kept[row["twin"]].decode()
        assert f"kept: {twin}" in page.text
        assert f"{twin.split('/')[0]}: {twin}" in shown


def test_a_file_that_changed_since_is_not_shown_as_the_one_that_was_kept(tmp_path: Path) -> None:
    for seed, name in enumerate(("copy.png", "kept.png")):
        (tmp_path / name).write_bytes(encoded(gradient(seed), "PNG"))
    row = {"image": "copy.png", "location": str(tmp_path / "copy.png"), "label": "a"}
    twin = hashlib.sha256((tmp_path / "kept.png").read_bytes()).hexdigest()
    facts = ("a", (), "test", twin, "0" * 16, 16, 24, "PNG", False, 100.0, 50.0, 900.0, None)
    rejections = [Rejection(row, "near_duplicate", "nearly", twin)]
    (shown,) = compared_copies(rejections, {twin: Entry("kept.png", *facts)})
    assert shown.kept is not None
    assert shown.kept.thumbnail == thumbnail((tmp_path / "kept.png").read_bytes(), SIDE)
    (tmp_path / "kept.png").write_bytes(encoded(gradient(99), "PNG"))
    (shown,) = compared_copies(rejections, {twin: Entry("kept.png", *facts)})
    assert shown.kept is not None
    assert shown.kept.thumbnail is None


def test_the_markdown_takes_no_name_for_markup(
    tmp_path: Path, colours: Path, run_ingest: RunIngest
) -> None:
    (colours / "red").rename(colours / "a|b_*c*")
    run_ingest(colours)
    text = (tmp_path / "out" / "statistics" / "card.md").read_text(encoding="utf-8")
    assert "<" not in text
    assert "&lt;b&gt;x" in text
    (row,) = [line for line in text.splitlines() if line.startswith(r"| a\|b\_\*c\* |")]
    assert len(re.split(r"(?<!\\)\|", row)) == 8


def written_examples(folder: Path, labels: list[str], shards: int, picture: bytes) -> Path:
    """Shards of 60 records each, sorted by label as a folder's are."""
    folder.mkdir()
    for number in range(shards):
        label = labels[number * len(labels) // shards]
        with (folder / f"train-{number:05}-of-{shards:05}.tfrecord").open("wb") as file:
            for place in range(60):
                features: dict[str, Any] = {
                    "image_bytes": picture,
                    "image_path": f"{number}/{place}",
                    "label": label,
                }
                write_record(file, serialized_example(features))
    return folder


def test_samples_of_sorted_shards_cost_bounded_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.ingest.card import pictures as card_pictures

    labels = [f"label {number:02}" for number in range(30)]
    picture = encoded(gradient(1, (8, 8)), "PNG")
    examples = written_examples(tmp_path / "examples", labels, 600, picture)
    parsed = []
    original = parsed_example

    def counted(record: bytes) -> dict[str, list[Any]]:
        parsed.append(1)
        return original(record)

    monkeypatch.setattr(card_pictures, "parsed_example", counted)
    pictures = sample_pictures(str(examples), labels, 8)
    assert {label: len(sample) for label, sample in pictures.items()} == dict.fromkeys(labels, 8)
    assert len(parsed) < 0.6 * RECORDS_READ
    # A label that is nowhere makes no one read all the 36,000 records.
    parsed.clear()
    assert sample_pictures(str(examples), ["absent"], 8) == {"absent": []}
    assert RECORDS_READ / 2 < len(parsed) <= 1.1 * RECORDS_READ


def test_the_largest_card_stays_small(tmp_path: Path) -> None:
    """Many labels, pictures that compress badly, and names of full length."""
    labels = [f"label {number:04}" for number in range(1500)]
    noise = np.random.default_rng(0).integers(0, 256, (150, 150, 3)).astype(np.uint8)
    examples = written_examples(
        tmp_path / "examples", labels[:30], 60, encoded(Image.fromarray(noise), "PNG")
    )
    statistics = Statistics()
    for number, label in enumerate([*labels, *labels[:30]]):
        facts = Facts(150, 150, "PNG", False, number % 256, 60, 3000)
        statistics.add(facts, ("train", "valid", "test")[number % 3], label)
    copy = tmp_path / "copy.png"
    copy.write_bytes(encoded(Image.fromarray(noise), "PNG"))
    row = {"image": "x" * 200, "location": str(copy), "label": "a"}
    samples = sample([Rejection(row, "conflicting_labels", "d" * 300, None)] * 100)
    contents = Contents(
        labels=labels,
        statistics=statistics,
        previous=statistics,
        findings=[Finding("imbalance", "warning", "<script>")],
        reasons=Counter(conflicting_labels=100),
        samples=samples,
        pictures=card_pictures(str(examples), labels, statistics, samples),
        facts={"data": "<data>", "split": {"train": 0.8}, "unset": None},
    )
    write_card(tmp_path, contents)
    text = (tmp_path / PAGE).read_text(encoding="utf-8")
    page = Page(text)
    assert len(text.encode()) < 3_000_000
    assert len(page.all("img")) == 30 * 8 + 24
    assert "And 1,000 more in statistics.json" in page.text
    assert "<script>" in page.text
    assert "split.train" in page.text
    assert "unset" not in page.text
    assert len(page.all("path")) == 6 + 30 * 6


def test_imbalance_in_two_numbers() -> None:
    even = balance({"a": 50, "b": 50}, ["a", "b"])
    assert (even["ratio"], even["effective"]) == (1, pytest.approx(2))
    skewed = balance({"a": 900, "b": 90}, ["b", "a"])
    assert (skewed["largest"], skewed["smallest"], skewed["ratio"]) == ("a", "b", 10)
    assert 1 < skewed["effective"] < 1.5
    assert balance({"a": 5}, ["a", "b"])["ratio"] is None


def test_charts_leave_out_empty_ends_and_name_their_bins() -> None:
    statistics = Statistics()
    for brightness in (0, 40, 40, 50):
        statistics.add(Facts(10, 10, "PNG", False, brightness, 0, 0), "train", "a")
    drawn = {chart.name: chart for chart in charts(statistics.overall)}
    brightness_chart = drawn["brightness"]
    assert [bar.count for bar in brightness_chart.bars] == [1, 0, 2, 1]
    assert [bar.span for bar in brightness_chart.bars] == [
        "under 16", "16 to 32", "32 to 48", "48 to 64"
    ]  # fmt: skip
    assert brightness_chart.ticks == [(1, "16"), (2, "32"), (3, "48")]
    assert (brightness_chart.median, brightness_chart.high) == ("32 to 48", "48 to 64")
    assert [bar.count for bar in drawn["sharpness"].bars] == [4]

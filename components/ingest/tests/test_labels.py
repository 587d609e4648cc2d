"""The metadata table: what a folder says, what its raters say, and what ingest reads of it."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.ingest.sources.label_table import (
    Disagreement,
    Outcome,
    Policy,
    joined,
    majority,
    write_labels,
)
from components.ingest.sources.source import read_source
from components.ingest.tests.bucket import Bucket
from darkroom.errors import SettingsError, StepError

votes = st.lists(st.sampled_from(["rose", "tulip", "daisy"]))


@given(votes, st.randoms())
def test_a_majority_is_more_than_half_in_any_order(ballot: list[str], random: Any) -> None:
    label = majority(ballot)
    winners = [name for name, count in Counter(ballot).items() if count > len(ballot) / 2]
    assert label == next(iter(winners), None)
    random.shuffle(ballot)
    assert majority(ballot) == label


@given(votes, st.sampled_from(Disagreement), st.none() | st.just("lily"))
def test_only_disagreement_asks_anyone_else(
    ballot: list[str], way: Disagreement, further: str | None
) -> None:
    outcome, label = joined(ballot, Policy(way, "neutral"), further)
    if not ballot:
        assert (outcome, label) == (Outcome.UNRATED, None)
    elif majority(ballot) is not None:
        assert (outcome, label) == (Outcome.AGREED, majority(ballot))
    else:
        expected = {
            Disagreement.DISCARD: None,
            Disagreement.NEUTRAL: "neutral",
            Disagreement.RATER: further,
        }
        assert label == expected[way]
        assert (outcome is Outcome.DISCARDED) == (label is None)


@pytest.fixture
def flowerbed(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    for name in ("rose/1.jpg", "rose/2, big.jpg", 'tulip/"3".jpg', "tulip/deep/4.jpg", "5.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


Rater = Callable[[str, dict[str, str]], Path]


@pytest.fixture
def rater(tmp_path: Path) -> Rater:
    """Writes a rater's table beside the photographs."""

    def write(name: str, labels: dict[str, str]) -> Path:
        path = tmp_path / f"{name}.csv"
        lines = ["image,label", *(f"{image},{label}" for image, label in labels.items())]
        path.write_text("\n".join(lines))
        return path

    return write


def read_back(output: Path) -> dict[str, str]:
    """Label by the place of the file that the table leads to."""
    rows = read_source(str(output), Path("unused")).rows
    assert all(Path(row.location).is_file() for row in rows)
    return {os.path.realpath(row.location): row.label for row in rows}


@pytest.mark.parametrize(
    ("place", "base"),
    [
        ("all_data.csv", "photographs/"),
        ("photographs/all_data.csv", ""),
        ("new/folder/all_data.csv", "../../photographs/"),
    ],
)
def test_a_folder_becomes_a_table_that_leads_to_its_photographs(
    tmp_path: Path, flowerbed: Path, place: str, base: str
) -> None:
    output = tmp_path / place
    counts = write_labels(str(flowerbed), output)
    assert counts == {"photographs": 5, "written": 4, "unlabelled": 1}
    labelled = {
        str(flowerbed / name): name.partition("/")[0]
        for name in ("rose/1.jpg", "rose/2, big.jpg", 'tulip/"3".jpg', "tulip/deep/4.jpg")
    }
    assert read_back(output) == labelled
    assert not list(output.parent.glob(".*"))
    assert read_source(str(output), Path("unused")).rows[0].image == f"{base}rose/1.jpg"


def test_paths_are_right_behind_links(tmp_path: Path, flowerbed: Path) -> None:
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "near").symlink_to(tmp_path / "far" / "away")
    (tmp_path / "link").symlink_to(flowerbed)
    write_labels(str(tmp_path / "link"), tmp_path / "near" / "all_data.csv")
    assert str(flowerbed / "rose" / "1.jpg") in read_back(tmp_path / "near" / "all_data.csv")


ANN = {"photographs/rose/1.jpg": "rose", "photographs/5.jpg": "rose", "tulip/deep/4.jpg": "tulip"}
BEN = {"rose/1.jpg": "rose", "5.jpg": "tulip", "tulip/deep/4.jpg": "", "gone.jpg": "rose"}


def test_raters_who_disagree_leave_a_photograph_out(
    tmp_path: Path, flowerbed: Path, rater: Rater
) -> None:
    output = tmp_path / "all_data.csv"
    counts = write_labels(str(flowerbed), output, [rater("ann", ANN), rater("ben", BEN)])
    assert counts == {
        "photographs": 5,
        "absent": 1,
        "agreed": 2,
        "discarded": 1,
        "unrated": 2,
        "written": 2,
    }
    assert read_back(output) == {
        str(flowerbed / "rose" / "1.jpg"): "rose",
        str(flowerbed / "tulip" / "deep" / "4.jpg"): "tulip",
    }


def test_a_neutral_label_for_those_not_agreed_on(
    tmp_path: Path, flowerbed: Path, rater: Rater
) -> None:
    output = tmp_path / "all_data.csv"
    raters = [rater("ann", ANN), rater("ben", BEN)]
    counts = write_labels(str(flowerbed), output, raters, "neutral", neutral_label="unsure")
    assert counts["neutral"] == 1
    assert read_back(output)[str(flowerbed / "5.jpg")] == "unsure"


def test_a_further_rater_is_heard_on_disagreement_only(
    tmp_path: Path, flowerbed: Path, rater: Rater
) -> None:
    output = tmp_path / "all_data.csv"
    raters = [rater("ann", ANN), rater("ben", BEN)]
    further = rater("cleo", {"5.jpg": "lily", "rose/1.jpg": "lily", "rose/2.jpg": "lily"})
    counts = write_labels(str(flowerbed), output, raters, "rater", further_rater=further)
    assert counts["further rater"] == 1
    labels = read_back(output)
    assert labels[str(flowerbed / "5.jpg")] == "lily"
    assert labels[str(flowerbed / "rose" / "1.jpg")] == "rose"


def test_a_bucket_becomes_a_table_of_uris(tmp_path: Path, rater: Rater) -> None:
    uri = "shelf://b/flowers/rose/1.jpg"
    output = tmp_path / "all_data.csv"
    Bucket.objects.update({uri: b"", "shelf://b/flowers/rose/2.jpg": b""})
    try:
        write_labels("shelf://b/flowers/", output)
        assert [row.image for row in read_source(str(output), Path("unused")).rows] == [
            uri,
            "shelf://b/flowers/rose/2.jpg",
        ]
        ballots = [rater("ann", {uri: "tulip"}), rater("ben", {"rose/1.jpg": "tulip"})]
        write_labels("shelf://b/flowers", output, ballots)
        (row,) = read_source(str(output), Path("unused")).rows
        assert (row.location, row.label) == (uri, "tulip")
    finally:
        Bucket.objects.clear()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"disagreement": "neutrl"}, "'neutrl' is not known; did you mean 'neutral'"),
        ({"disagreement": "neutral"}, "'neutral' needs a neutral label"),
        ({"disagreement": "rater"}, "'rater' needs a further rater"),
        ({"neutral_label": "x"}, "a neutral label is for disagreement 'neutral'"),
        ({"further_rater": Path("x")}, "a further rater is for disagreement 'rater'"),
        ({"disagreement": "neutral", "neutral_label": "x"}, "'neutral' needs raters"),
        ({"raters": [Path("nobody.csv")]}, "cannot read nobody.csv: No such file"),
        ({"folder": "nowhere"}, "cannot read nowhere: No such file or directory"),
        ({"output": Path("all_data.jsonl")}, "its name must end in .csv"),
    ],
)
def test_options_that_do_not_fit_are_clear(
    tmp_path: Path, flowerbed: Path, options: dict[str, Any], message: str
) -> None:
    arguments = {"folder": str(flowerbed), "output": tmp_path / "all_data.csv", **options}
    with pytest.raises(SettingsError, match=message):
        write_labels(**arguments)
    assert not (tmp_path / "all_data.csv").exists()


def test_a_table_of_no_use_stops_early_and_the_old_one_stays(
    tmp_path: Path, flowerbed: Path, rater: Rater
) -> None:
    output = tmp_path / "all_data.csv"
    output.write_text("as it was")
    twice = tmp_path / "twice.csv"
    twice.write_text("image,label\n5.jpg,rose\nrose/../5.jpg,tulip\n")
    short = tmp_path / "short.csv"
    short.write_text("image,label\n5.jpg\n")
    for raters, message in (
        ([twice], "two labels, 'rose' and 'tulip'"),
        ([short], "short.csv line 2: 1 fields where the header names 2"),
        ([rater("stranger", {"9.jpg": "rose"})], "no photograph in .* has a label"),
    ):
        with pytest.raises(StepError, match=message):
            write_labels(str(flowerbed), output, raters)
    assert output.read_text() == "as it was"
    with pytest.raises(StepError, match="cannot write"):
        write_labels(str(flowerbed), output / "within a file.csv")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_raters_vote_label_by_label(tmp_path: Path) -> None:
    """ "sunflower daisy" and "daisy sunflower" agree; a label that only one gives is none."""
    from PIL import Image

    for name in ("a", "b", "c"):
        (tmp_path / "photos" / "any").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "photos" / "any" / f"{name}.png")
    votes = {
        "ann": ("sunflower daisy", "rose", "rose"),
        "ben": ("daisy sunflower", "rose tulip", "tulip"),
        "cem": ("daisy sunflower rose", "tulip", "daisy"),
    }
    raters = []
    for rater, labels in votes.items():
        table = tmp_path / f"{rater}.csv"
        names = [f"photos/any/{name}.png" for name in ("a", "b", "c")]
        rows = [f"{name},{label}" for name, label in zip(names, labels, strict=True)]
        table.write_text("\n".join(["image,label", *rows]))
        raters.append(table)
    output = tmp_path / "all.csv"
    counts = write_labels(str(tmp_path / "photos"), output, raters, label_separator=" ")
    assert output.read_text().splitlines()[1:] == [
        "photos/any/a.png,daisy sunflower",
        "photos/any/b.png,rose tulip",
    ]
    assert counts["discarded"] == 1


def test_corrections_decide_whatever_the_folder_says(
    tmp_path: Path, flowerbed: Path, rater: Rater
) -> None:
    """Who agrees with the folder has corrected nothing."""
    suspects = tmp_path / "suspects.csv"
    suspects.write_text(
        "image,label,likely_label,probability\n"
        "rose/1.jpg,tulip,tulip,0.1\ntulip/deep/4.jpg,tulip,rose,0.2\n5.jpg,rose,rose,0.3\n"
    )
    counts = write_labels(str(flowerbed), tmp_path / "all.csv", corrections=suspects)
    assert (counts["corrected"], counts["written"]) == (2, 5)
    labels = dict(line.rsplit(",", 1) for line in (tmp_path / "all.csv").read_text().split()[1:])
    assert labels["photographs/rose/1.jpg"] == "tulip"
    assert labels["photographs/5.jpg"] == "rose"
    assert labels["photographs/tulip/deep/4.jpg"] == "tulip"
    ann = rater("ann", {"rose/1.jpg": "rose"})
    write_labels(str(flowerbed), tmp_path / "one.csv", [ann], corrections=suspects)
    assert "photographs/rose/1.jpg,tulip" in (tmp_path / "one.csv").read_text()

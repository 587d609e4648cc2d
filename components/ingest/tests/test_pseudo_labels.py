"""Photographs that a model labelled: in train alone, marked, and never instead of a person's."""

import csv
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from components.ingest.tests.conftest import Ingested
from components.ingest.tests.pictures import encoded, gradient
from darkroom.artifacts.examples import PSEUDO_LABELLED
from darkroom.artifacts.rejected import Reason
from darkroom.errors import StepError

LABELS = ("daisy", "rose")
HELD_OUT = Reason.PSEUDO_LABEL_HELD_OUT
Ingest = Callable[..., Ingested]
Line = dict[str, Any]


def photograph(folder: Path, number: int) -> str:
    """Writes a photograph that is like no other, and gives its name."""
    name = f"{number}.jpg"
    (folder / name).write_bytes(encoded(gradient(number), "JPEG"))
    return name


def write_lines(path: Path, lines: Sequence[Line]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def labelled(folder: Path, count: int, start: int = 0, **cells: Any) -> list[Line]:
    return [
        {"image": photograph(folder, number), "label": LABELS[number % 2], **cells}
        for number in range(start, start + count)
    ]


def marked(folder: Path, count: int, start: int, **cells: Any) -> list[Line]:
    return labelled(folder, count, start, **{"split": "train", PSEUDO_LABELLED: 1, **cells})


def place_of(result: Ingested) -> dict[str, str]:
    """The split of each photograph that became an example."""
    return {
        record["image_path"][0].decode(): split
        for split, records in result.records.items()
        for record in records
    }


def marks(result: Ingested) -> set[str]:
    return {
        record["image_path"][0].decode()
        for record in result.all_records
        if record.get(PSEUDO_LABELLED) == [1]
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    return made


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_marked_no_other_photograph_moves(
    folder: Path, run_ingest: Ingest, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    own = labelled(folder, 60, 1000 * seed)
    alone = run_ingest(write_lines(folder / "own.jsonl", own), "alone")
    lines = [*own, *marked(folder, 40, 1000 * seed + 500)]
    # Some are copies of what people labelled, of which the model may say anything.
    for place in generator.choice(len(own), 12, replace=False):
        label = str(generator.choice(LABELS))
        lines.append({**own[place], "label": label, "split": "train", PSEUDO_LABELLED: "1"})
    order = generator.permutation(len(lines))
    table = write_lines(folder / "both.jsonl", [lines[place] for place in order])
    both = run_ingest(table, "both")
    places, found = place_of(both), marks(both)
    assert {each: places[each] for each in place_of(alone)} == place_of(alone)
    assert found
    assert found.isdisjoint(line["image"] for line in own)
    assert {places[each] for each in found} == {"train"}
    assert both.examples.pseudo_labelled == len(found)
    assert both.examples.columns[PSEUDO_LABELLED] == "int"
    # All 112 rows end as examples or as refused ones with a reason.
    assert len(places) + len(both.rejected) == len(lines)
    reasons = {row["reason"] for row in both.rejected}
    assert reasons <= {HELD_OUT, Reason.DUPLICATE, Reason.DUPLICATE_ROW}
    # Labelled by a person later, each that is trained on now is in train then.
    later = [{k: line[k] for k in ("image", "label")} for line in lines if line["image"] in found]
    known = place_of(run_ingest(write_lines(folder / "later.jsonl", [*own, *later]), "later"))
    assert {known[each] for each in found} == {"train"}


def test_rows_with_and_without_a_split_mix_in_a_csv(folder: Path, run_ingest: Ingest) -> None:
    own, more = labelled(folder, 60), marked(folder, 30, 100)
    table = folder / "both.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["image", "label", "split", PSEUDO_LABELLED])
        writer.writeheader()
        writer.writerows([*own, *more])
    result = run_ingest(table)
    counts = result.examples.counts
    assert counts["valid"]
    assert counts["test"]
    assert 15 < result.examples.pseudo_labelled < 30
    assert all(row["reason"] == HELD_OUT for row in result.rejected)
    assert "belongs to" in result.rejected[0]["detail"]


def test_where_all_splits_are_named_none_is_drawn(folder: Path, run_ingest: Ingest) -> None:
    own = [
        line | {"split": split}
        for line, split in zip(
            labelled(folder, 12), itertools.cycle(("train", "valid", "test")), strict=False
        )
    ]
    more = marked(folder, 30, 100)
    result = run_ingest(write_lines(folder / "both.jsonl", [*own, *more]))
    assert result.examples.pseudo_labelled == 30
    assert not result.rejected


def test_what_comes_out_of_train_never_takes_a_marked_photograph(
    folder: Path, run_ingest: Ingest
) -> None:
    lines = [*labelled(folder, 60, split="train"), *marked(folder, 40, 100)]
    result = run_ingest(write_lines(folder / "both.jsonl", lines))
    places = place_of(result)
    assert set(places.values()) == {"train", "valid", "test"}
    assert {places[each] for each in marks(result)} == {"train"}


def mirrored(folder: Path, name: str, to: str) -> str:
    with Image.open(folder / name) as picture:
        ImageOps.mirror(picture).save(folder / to)
    return to


def commented(folder: Path, name: str, to: str) -> str:
    """Writes a photograph of other bytes and the same pixels."""
    start, rest = (folder / name).read_bytes()[:2], (folder / name).read_bytes()[2:]
    (folder / to).write_bytes(start + b"\xff\xfe\x00\x05new" + rest)
    return to


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize("label", LABELS)
def test_a_copy_of_a_labelled_photograph_loses_to_it(
    folder: Path, run_ingest: Ingest, split: str, label: str
) -> None:
    own = labelled(folder, 4, split="train") + labelled(folder, 4, 10, split="valid")
    own += labelled(folder, 4, 20, split="test")
    victim = next(line for line in own if line["split"] == split)
    same = folder / "same.jpg"
    same.write_bytes((folder / victim["image"]).read_bytes())
    near = commented(folder, victim["image"], "near.jpg")
    mark = {"label": label, "split": "train", PSEUDO_LABELLED: True}
    more = [{"image": image, **mark} for image in ("same.jpg", near, victim["image"])]
    result = run_ingest(write_lines(folder / "both.jsonl", [*more, *own]), duplicates="keep")
    assert not marks(result)
    assert set(place_of(result)) == {line["image"] for line in own}
    expected = Reason.DUPLICATE if split == "train" else HELD_OUT
    assert [row["reason"] for row in result.rejected] == [expected] * 3
    assert all("image" in row["detail"] or "photograph" in row["detail"] for row in result.rejected)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_what_nearly_is_held_out_is_refused(folder: Path, run_ingest: Ingest, split: str) -> None:
    own = labelled(folder, 4, split="train") + labelled(folder, 4, 10, split="valid")
    own += labelled(folder, 4, 20, split="test")
    victim = next(line for line in own if line["split"] == split)
    near = mirrored(folder, victim["image"], "near.png")
    more = [{"image": near, "label": LABELS[1], "split": "train", PSEUDO_LABELLED: 1}]
    result = run_ingest(write_lines(folder / "both.jsonl", [*more, *own]))
    (refused,) = result.rejected
    assert refused["reason"] == HELD_OUT
    assert f"in {split}" in refused["detail"]
    assert refused["twin"]


@pytest.mark.parametrize("distance", [6, -1])
def test_none_is_of_a_group_that_is_held_out(
    folder: Path, run_ingest: Ingest, distance: int
) -> None:
    own = [
        line
        for split, start in (("train", 0), ("valid", 10), ("test", 20))
        for line in labelled(folder, 4, start, split=split, patient=split)
    ]
    groups = ("train", "valid", "test", "new")
    more = [
        line
        for at, name in enumerate(groups)
        for line in marked(folder, 2, 50 + 5 * at, patient=name)
    ]
    result = run_ingest(
        write_lines(folder / "both.jsonl", [*more, *own]),
        group_by="patient",
        near_duplicate_distance=distance,
    )
    assert marks(result) == {line["image"] for line in more if line["patient"] in ("train", "new")}
    assert [row["reason"] for row in result.rejected] == [HELD_OUT] * 4


def test_a_mark_that_asks_for_test_is_refused(folder: Path, run_ingest: Ingest) -> None:
    own = labelled(folder, 60)
    wrong = [
        {**marked(folder, 1, 100 + at)[0], "split": split}
        for at, split in enumerate(("test", "Val", "unassigned", ""))
    ]
    wrong[3]["split"] = None
    spelled = [{**marked(folder, 1, 110)[0], PSEUDO_LABELLED: "perhaps"}]
    plain = [{**labelled(folder, 1, 120)[0], PSEUDO_LABELLED: "0"}]
    lines = [*own, *wrong, *spelled, *plain]
    result = run_ingest(write_lines(folder / "both.jsonl", lines), max_rejected=0.1)
    faults = {r["row"]["line"]: r["reason"] for r in result.rejected if "line" in r["row"]}
    assert faults == {
        61: Reason.PSEUDO_LABEL_NOT_TRAIN,
        62: Reason.PSEUDO_LABEL_NOT_TRAIN,
        65: Reason.MALFORMED_ROW,
    }
    assert "120.jpg" in place_of(result)
    assert "120.jpg" not in marks(result)


def test_held_out_ones_are_no_fault_of_the_data(folder: Path, run_ingest: Ingest) -> None:
    lines = [*labelled(folder, 60), *marked(folder, 60, 100)]
    table = write_lines(folder / "both.jsonl", lines)
    result = run_ingest(table, max_rejected=0.0)
    assert result.rejected
    with pytest.raises(StepError, match="no photograph fell into"):
        run_ingest(write_lines(folder / "all.jsonl", marked(folder, 60, 100)), "all")


@pytest.mark.slow
def test_a_runner_and_an_earlier_run_give_the_same(folder: Path, run_ingest: Ingest) -> None:
    own = labelled(folder, 40, patient="a")
    for number, line in enumerate(own):
        line["patient"] = str(number // 2)
    more = [{**line, "patient": "x"} for line in marked(folder, 20, 100)]
    copies = [
        {**own[at], "label": LABELS[0], "split": "train", PSEUDO_LABELLED: 1} for at in (0, 1)
    ]
    near = {"image": commented(folder, own[2]["image"], "near.jpg"), "label": LABELS[1]}
    more.append({**near, "patient": "y", "split": "train", PSEUDO_LABELLED: 1})
    table = write_lines(folder / "both.jsonl", [*more, *copies, *own])
    settings = {"group_by": "patient", "max_rejected": 0.5}
    here = run_ingest(table, "here", **settings)
    there = run_ingest(table, "there", beam_options=["--runner=DirectRunner"], **settings)
    first = run_ingest(write_lines(folder / "own.jsonl", own), "first", **settings)
    again = run_ingest(table, "again", previous=str(first.examples.folder), **settings)
    for other in (there, again):
        assert place_of(other) == place_of(here)
        assert marks(other) == marks(here)
        assert sorted(r["reason"] for r in other.rejected) == sorted(
            r["reason"] for r in here.rejected
        )
    # The mark is taken back: the photograph is read again, and is one like any other.
    for line in more:
        del line[PSEUDO_LABELLED], line["split"]
    later = run_ingest(
        write_lines(table, [*more, *own]), "later", previous=str(here.examples.folder), **settings
    )
    assert not marks(later)

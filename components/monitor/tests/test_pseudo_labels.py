"""The labels that a teacher gives: sure, balanced, and never of valid or test."""

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.monitor.labelling.pool import Pool
from components.monitor.labelling.pseudo_labels import (
    COLUMNS,
    pseudo_label,
    select_pseudo_labels,
    write_pseudo_labels,
)
from components.monitor.labelling.settings import PseudoLabelSettings
from darkroom.artifacts.manifest import write_manifest
from darkroom.errors import SettingsError, StepError

LABELS = ("daisy", "rose", "tulip")


def pool_of(probabilities: list[tuple[int, float]], labelled: tuple[int, ...] = ()) -> Pool:
    """A pool of (label, its probability)."""
    count = len(probabilities)
    rest = np.array([[(1 - sure) / 2] * 3 for _, sure in probabilities])
    for row, (label, sure) in zip(rest, probabilities, strict=True):
        row[label] = sure
    has = np.isin(np.arange(count), labelled)
    return Pool(
        LABELS,
        tuple(f"/{place}.jpg" for place in range(count)),
        tuple(str(place) for place in range(count)),
        rest,
        np.ones((count, 2), np.float32),
        has,
        np.zeros((count, 3), bool),
    )


SEEN = pool_of([(0, 0.9), (0, 0.99), (0, 0.95), (0, 0.97), (1, 0.91), (2, 0.6), (1, 0.5)])


def test_the_surest_are_selected_as_many_as_the_balance_allows() -> None:
    selected = select_pseudo_labels(SEEN, 0.9, per_label=10)
    # One rose is sure enough, so there are two daisies at most, and no tulip.
    assert [(each.place, each.label) for each in selected] == [
        (1, "daisy"),
        (3, "daisy"),
        (4, "rose"),
    ]
    assert selected[0].probability == pytest.approx(0.99)
    assert len(select_pseudo_labels(SEEN, 0.9, per_label=10, imbalance=1)) == 2
    assert len(select_pseudo_labels(SEEN, 0.9, per_label=10, imbalance=3.9)) == 4
    assert len(select_pseudo_labels(SEEN, 0.9, per_label=1, imbalance=9)) == 2
    assert select_pseudo_labels(SEEN, 1.0, per_label=10) == []


def test_photographs_of_valid_and_test_and_labelled_ones_are_never_selected() -> None:
    generator = np.random.default_rng(0)
    drawn = [(int(label), 0.99) for label in generator.integers(3, size=300)]
    kept_out = {str(place) for place in range(0, 300, 3)}
    pool = pool_of(drawn, labelled=tuple(range(100)))
    places = {each.place for each in select_pseudo_labels(pool, 0.5, 1000, 99, kept_out)}
    assert places == {place for place in range(100, 300) if place % 3}


def test_the_same_is_selected_whatever_comes_after() -> None:
    first = select_pseudo_labels(SEEN, 0.9, 10)
    assert first == select_pseudo_labels(SEEN, 0.9, 10)
    assert Counter(each.label for each in first) == {"daisy": 2, "rose": 1}


def test_the_table_marks_them_and_puts_them_in_train(tmp_path: Path) -> None:
    table = tmp_path / "pseudo.csv"
    write_pseudo_labels(table, SEEN, select_pseudo_labels(SEEN, 0.9, 1))
    with table.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == COLUMNS
    assert rows == [
        ["/1.jpg", "daisy", "train", "1", "0.9900"],
        ["/4.jpg", "rose", "train", "1", "0.9100"],
    ]


@pytest.mark.parametrize(
    "asked", [(0.0, 1, 1.0), (1.1, 1, 1.0), (0.5, 0, 1.0), (0.5, 1, 0.5), (float("nan"), 1, 1.0)]
)
def test_numbers_out_of_their_range_are_one_line(asked: tuple[float, int, float]) -> None:
    with pytest.raises(SettingsError, match="need a threshold above 0"):
        select_pseudo_labels(SEEN, *asked)


def test_a_model_of_several_labels_gives_none() -> None:
    several = Pool(**{**vars(SEEN), "thresholds": np.full(3, 0.5)})
    with pytest.raises(SettingsError, match="one label"):
        select_pseudo_labels(several, 0.9, 10)


def predicted(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Predictions of three labels, as batch prediction writes them in JSON Lines."""
    out = folder / "predicted"
    out.mkdir()
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (out / "predictions-00000.jsonl").write_text(lines)
    model = {"digest": "x", "version": 3}
    facts = {
        "format": "jsonl",
        "labels": LABELS,
        "model": model,
        "counts": {"predicted": len(rows)},
    }
    write_manifest(out, "batch_predictions", facts)
    return out


def rows_of(folder: Path, **more: Any) -> list[dict[str, Any]]:
    found = []
    for place, (image, probabilities) in enumerate(
        zip(SEEN.images, SEEN.probabilities, strict=True)
    ):
        (folder / image.lstrip("/")).write_bytes(b"")
        row = {"image": image.lstrip("/"), "image_id": str(place), "patient": f"p{place}"}
        found.append(row | {"probabilities": probabilities.tolist()} | more)
    return found


def table_rows(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_predictions_become_a_table(tmp_path: Path) -> None:
    rows = rows_of(tmp_path)
    rows += [rows[0], {**rows[0], "image_id": "8", "probabilities": [float("nan"), 1.0, 0.0]}]
    settings = PseudoLabelSettings(threshold=0.9, pass_columns=("patient",))
    table = tmp_path / "pseudo.csv"
    told = pseudo_label(predicted(tmp_path, rows), settings, table=table, folder=str(tmp_path))
    assert told == {"selected": {"daisy": 2, "rose": 1}, "photographs": 7}
    found = table_rows(table)
    assert [Path(row["image"]).name for row in found] == ["1.jpg", "3.jpg", "4.jpg"]
    assert [row["patient"] for row in found] == ["p1", "p3", "p4"]
    assert {(row["split"], row["pseudo_labelled"]) for row in found} == {("train", "1")}


def test_what_cannot_be_labelled_is_one_line(tmp_path: Path) -> None:
    out, table = predicted(tmp_path, rows_of(tmp_path)), tmp_path / "pseudo.csv"
    with pytest.raises(SettingsError, match=r"there is no file .* as --folder"):
        pseudo_label(out, PseudoLabelSettings(threshold=0.9), table=table)
    with pytest.raises(StepError, match=r"none of 7 photographs .* lower `threshold`"):
        pseudo_label(out, PseudoLabelSettings(threshold=1.0), table=table)
    with pytest.raises(SettingsError, match="no column 'ward'"):
        pseudo_label(out, PseudoLabelSettings(pass_columns=("ward",)), table=table)
    (tmp_path / "several").mkdir()
    several = predicted(tmp_path / "several", rows_of(tmp_path, labels=["daisy", "rose"]))
    with pytest.raises(SettingsError, match="one label"):
        pseudo_label(several, PseudoLabelSettings(), table=table)
    assert not table.exists()


@pytest.mark.slow
def test_the_command_does_the_same(tmp_path: Path) -> None:
    out = predicted(tmp_path, rows_of(tmp_path))
    asked = ["--predictions", str(out), "--table", "t.csv", "--settings", '{"threshold": 0.95}']
    command = [sys.executable, "-m", "components.monitor.labelling.pseudo_labels", *asked]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "3 of 7 photographs: daisy 3, rose 0, tulip 0" in ended.stderr
    assert "none is surely rose or tulip" in ended.stderr
    assert [row["label"] for row in table_rows(tmp_path / "t.csv")] == ["daisy"] * 3

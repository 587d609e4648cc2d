"""The labels that a teacher gives: sure, balanced, and never of valid or test."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from components.monitor.labelling.pool import Pool
from components.monitor.labelling.pseudo_labels import (
    COLUMNS,
    select_pseudo_labels,
    write_pseudo_labels,
)
from darkroom.errors import SettingsError

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

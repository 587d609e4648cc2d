"""Labels that are likely wrong are found among the test images, and the verdict stands or turns."""

import csv
import io
from typing import Any

import numpy as np
import pytest

from components.evaluate.bounds import Margins
from components.evaluate.comparison.compare import Comparison, accuracy_difference
from components.evaluate.comparison.decision import if_labels_are_wrong
from components.evaluate.labels.suspects import find_suspects, suspects_csv
from components.evaluate.settings import EvaluateSettings
from components.evaluate.tests.small_artifacts import table_of

pytestmark = pytest.mark.slow

LABELS = ("daisy", "rose", "tulip")
WRONG = 12


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """600 images that a model is mostly sure of; the labels of the first 12 are wrong."""
    generator = np.random.default_rng(4)
    found = []
    for number in range(600):
        true = int(generator.integers(3))
        probabilities = 0.1 * generator.dirichlet(np.ones(3)) + 0.9 * np.eye(3)[true]
        label = (true + 1) % 3 if number < WRONG else true
        found.append(
            {
                "image_id": str(number),
                "image_path": f"{LABELS[label]}/{number}.jpg",
                "label": LABELS[label],
                "label_index": label,
                "probabilities": probabilities.tolist(),
            }
        )
    return found


def test_planted_errors_are_found_and_nothing_else(rows: list[dict[str, Any]]) -> None:
    found = find_suspects(table_of(rows, 3), LABELS)
    named = {int(suspect.image_id) for suspect in found}
    assert named <= set(range(WRONG))
    assert len(named) >= 0.75 * WRONG
    for suspect in found:
        assert suspect.likely_label != suspect.label
        assert suspect.probability < 0.2


def test_a_champion_has_its_say(rows: list[dict[str, Any]]) -> None:
    sure = [
        row | {"champion": {"probabilities": np.eye(3)[row["label_index"]].tolist()}}
        for row in rows
    ]
    # It is surely of the labels' opinion: on the mean, they are as likely as not.
    assert len(find_suspects(table_of(sure, 3), LABELS)) < WRONG


def test_the_table_can_be_corrected_and_read(rows: list[dict[str, Any]]) -> None:
    found = find_suspects(table_of(rows, 3), LABELS)
    table = list(csv.DictReader(io.StringIO(suspects_csv(found))))
    assert [row["image"] for row in table] == [suspect.image for suspect in found]
    assert set(table[0]) == {"image", "label", "likely_label", "probability", "split", "issue"}


def test_several_labels_are_looked_at_each(rows: list[dict[str, Any]]) -> None:
    generator = np.random.default_rng(5)
    several = []
    for number in range(400):
        has = generator.random(3) < 0.5
        has[number % 3] |= not has.any()
        probabilities = np.where(has, 0.95, 0.05) + generator.uniform(-0.04, 0.04, 3)
        if number < WRONG:
            has[0] = not has[0]
            has[1] |= not has.any()
        several.append(
            {
                "image_id": str(number),
                "image_path": f"{number}.jpg",
                "label": "",
                "label_indices": [int(place) for place in np.flatnonzero(has)],
                "probabilities": probabilities.tolist(),
            }
        )
    found = {int(suspect.image_id) for suspect in find_suspects(table_of(several, 3), LABELS)}
    assert len(found & set(range(WRONG))) >= WRONG - 2
    assert len(found - set(range(WRONG))) <= 2


def test_nothing_is_suspected_where_nothing_can_be() -> None:
    row = {"image_id": "0", "image_path": "a", "label": "rose", "label_index": 1}
    assert find_suspects(table_of([], 3), LABELS) == []
    assert find_suspects(table_of([row | {"probabilities": [None, 0.5, 0.5]}], 3), LABELS) == []
    assert find_suspects(table_of([row | {"probabilities": [0.9, 0.1, 0.0]}] * 20, 3), LABELS) == []


@pytest.mark.parametrize("count", [1, 2, 40])
def test_labels_that_all_images_have_or_none_are_no_failure(count: int) -> None:
    generator = np.random.default_rng(count)
    rows = [
        {
            "image_id": str(number),
            "image_path": f"{number}.jpg",
            "label": "",
            # All have the first, none has the third.
            "label_indices": [0, 1] if number % 2 else [0],
            "probabilities": generator.random(3).tolist(),
        }
        for number in range(count)
    ]
    places = {int(found.image_id) for found in find_suspects(table_of(rows, 3), LABELS)}
    assert places <= set(range(count))


@pytest.mark.parametrize(
    ("outcomes", "suspects", "said"),
    [
        ((80, 12, 1, 7), (0, 0, 0, 0), ""),
        ((80, 20, 1, 7), (1, 4, 1, 3), "stands whichever of them"),
        ((80, 12, 2, 7), (0, 9, 0, 0), "would turn if 3 of them are"),
        (
            (80, 2, 12, 7),
            (0, 0, 1, 0),
            "1 test label is suspected to be wrong: the comp",
        ),
        ((80, 0, 6, 7), (0, 0, 1, 0), "would turn if it is"),
    ],
)
def test_the_verdict_says_how_it_stands_against_wrong_labels(
    outcomes: tuple[int, int, int, int], suspects: tuple[int, int, int, int], said: str
) -> None:
    better = outcomes[1] > outcomes[2]
    margins = Margins(better_by=0) if better else Margins(not_worse_by=0)
    settings = EvaluateSettings(against_baseline={"accuracy": margins})
    comparison = Comparison(
        "version 1", "", (accuracy_difference({}, outcomes),), (), outcomes, suspects
    )
    line = if_labels_are_wrong(comparison, settings)
    assert (said in line) if said else line == ""

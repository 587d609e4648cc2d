"""Slices with a lower accuracy than the rest are found, and hardly any without."""

from typing import Any

import numpy as np
import pytest

from components.evaluate.settings import EvaluateSettings
from components.evaluate.slices.slicing import find_slices
from components.evaluate.slices.weak import find_weak_slices
from components.evaluate.tests.small_artifacts import table_of
from darkroom.settings import validate_settings

pytestmark = pytest.mark.slow

TYPES = {"camera": "bytes", "site": "bytes", "brightness": "float", "room": "int", "name": "bytes"}


def settings(**values: Any) -> EvaluateSettings:
    return validate_settings(EvaluateSettings, values, "evaluate")


def table(count: int, seed: int) -> tuple[Any, dict[str, Any]]:
    generator = np.random.default_rng(seed)
    columns = {
        "camera": generator.choice(["new", "old", "phone"], count),
        "site": generator.choice(["attic", "cellar"], count),
        "brightness": generator.uniform(0, 255, count).round(3),
        "room": generator.integers(0, 500, count),
        "name": np.array([f"{number}.jpg" for number in range(count)]),
    }
    rows = [
        {"label": "a", "label_index": 0, "slices": dict(zip(columns, row, strict=True))}
        for row in zip(*(column.tolist() for column in columns.values()), strict=True)
    ]
    return table_of(rows, 2, TYPES), columns


def test_a_planted_weakness_is_found_by_its_own_name() -> None:
    predictions, columns = table(1500, 1)
    generator = np.random.default_rng(2)
    planted = (columns["camera"] == "old") & (columns["site"] == "cellar")
    is_right = generator.random(1500) > np.where(planted, 0.4, 0.06)
    found = find_weak_slices(predictions, is_right, settings())
    assert dict(found[0].slice) in (
        {"camera": "old", "site": "cellar"},
        {"camera": "old"},
        {"site": "cellar"},
    )
    (cross,) = [each for each in found if len(each.slice) == 2 and "brightness" not in each.slice]
    assert cross.slice == {"camera": "old", "site": "cellar"}
    assert cross.count == planted.sum()
    assert cross.accuracy == pytest.approx(is_right[planted].mean())
    assert cross.rest == pytest.approx(is_right[~planted].mean())
    assert cross.p_value < 0.001
    # What has a value for itself is no kind of photograph.
    assert all("name" not in each.slice for each in found)
    only = settings(weak_slices={"features": ["camera"]})
    assert {tuple(each.slice) for each in find_weak_slices(predictions, is_right, only)} <= {
        ("camera",)
    }
    assert find_weak_slices(predictions, is_right, settings(weak_slices={"features": []})) == []


def test_where_there_is_no_weakness_hardly_any_is_found() -> None:
    alarms = 0
    for seed in range(60):
        predictions, _ = table(400, seed)
        is_right = np.random.default_rng(1000 + seed).random(400) > 0.15
        alarms += bool(find_weak_slices(predictions, is_right, settings()))
    assert alarms <= 6  # 5 % of 60 are 3


def test_numbers_are_put_into_buckets() -> None:
    predictions, columns = table(1000, 3)
    slicings = [("brightness",), ("room",), ("site", "brightness")]
    _, *slices = find_slices(predictions, slicings, {"brightness": [64, 128], "room": 3})
    named = {tuple(each.values.items()): each.places for each in slices}
    dark = named[("brightness", "below 64"),]
    assert set(dark) == set(np.flatnonzero(columns["brightness"] < 64))
    middle = named[("brightness", "64 to 128"),]
    assert len(middle) == ((columns["brightness"] >= 64) & (columns["brightness"] < 128)).sum()
    of_rooms = [places for key, places in named.items() if key[0][0] == "room"]
    assert len(of_rooms) == 3
    assert sum(map(len, of_rooms)) == 1000
    assert max(map(len, of_rooms)) - min(map(len, of_rooms)) < 20
    cross = named[("site", "attic"), ("brightness", "128 and more")]
    assert len(cross) == ((columns["site"] == "attic") & (columns["brightness"] >= 128)).sum()

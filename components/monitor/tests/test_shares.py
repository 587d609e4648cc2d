"""What is counted of a window: by value, and below the cuts of a measure."""

import math
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest

from components.monitor.drift.answers import confidences, entropies
from components.monitor.drift.shares import (
    EDGES,
    cut_points,
    histogram,
    shares_below,
    shares_of,
)
from components.monitor.sequential.changed_share import Counted
from darkroom.artifacts import statistics


class Photograph(NamedTuple):
    height: int = 100
    width: int = 100
    file_format: str = "JPEG"
    converted: bool = False
    brightness: float = 100.0
    contrast: float = 50.0
    sharpness: float = 100.0


def test_a_histogram_is_that_of_ingests_statistics() -> None:
    values = [0.0, 15.9, 16.0, 100.0, 239.9, 240.0, 255.0]
    known = statistics.Statistics()
    for value in values:
        known.add(Photograph(brightness=value), "train", "daisy")
    counted = histogram("brightness", [*values, math.nan])
    assert counted.tolist() == known.overall.histograms["brightness"]
    assert set(statistics.EDGES) <= set(EDGES)


def test_counts_below_a_cut_are_those_of_the_values() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(120, 40, 1000).clip(0, 255)
    cuts = cut_points("brightness", histogram("brightness", values))
    assert len(cuts) == 3
    quartiles = np.quantile(values, [0.25, 0.5, 0.75])
    assert np.abs(np.array(cuts) - quartiles).max() <= 8  # edges are 16 apart
    found = shares_below("brightness", histogram("brightness", values), cuts)
    assert found == {
        f"brightness<{cut:g}": Counted(int((values < cut).sum()), 1000) for cut in cuts
    }


@pytest.mark.parametrize(("values", "count"), [([100] * 50, 0), ([100] * 50 + [130] * 50, 1)])
def test_cuts_that_would_tell_nothing_are_left_out(values: list[int], count: int) -> None:
    assert len(cut_points("brightness", histogram("brightness", values))) == count
    assert cut_points("brightness", histogram("brightness", [])) == []


def test_a_label_that_the_reference_has_not_counts_as_none_of_it() -> None:
    found = shares_of("file_format", Counter(JPEG=8, WEBP=2), ["JPEG", "PNG"])
    assert found == {"file_format=JPEG": Counted(8, 10), "file_format=PNG": Counted(0, 10)}


def test_confidence_and_entropy_of_answers() -> None:
    probabilities = np.array([[0.25, 0.25, 0.25, 0.25], [0.97, 0.01, 0.01, 0.01]], np.float32)
    assert confidences(probabilities) == pytest.approx([0.25, 0.97])
    by_hand = -np.sum(probabilities * np.log(probabilities), axis=1) / math.log(4)
    assert entropies(probabilities) == pytest.approx(by_hand, abs=1e-6)

"""Weak slices: those with a lower accuracy than the rest, found among all that there are."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from components.evaluate.settings import EvaluateSettings
from components.evaluate.slices.slicing import Slice, crossed, feature_slices
from darkroom.anytime import CONFIDENCE
from darkroom.artifacts.predictions import SLICES

if TYPE_CHECKING:
    import pyarrow as pa

    from darkroom.answers.answers import Bools

MOST_SEARCHED = 50
"""Values of a feature above which it is not searched: it tells photographs apart, not kinds."""
_SIGNIFICANT = 1 - CONFIDENCE


@dataclasses.dataclass(frozen=True)
class WeakSlice:
    """A slice with a lower accuracy than the rest.

    Attributes:
        slice: Value by feature.
        count: Number of images.
        accuracy: The share of them that is right.
        rest: The same of all other images.
        p_value: Of a slice as good as the rest, adjusted for the number of slices looked at.
    """

    slice: Mapping[str, Any]
    count: int
    accuracy: float
    rest: float
    p_value: float


def find_weak_slices(
    predictions: "pa.Table", is_right: "Bools", settings: EvaluateSettings
) -> list[WeakSlice]:
    """Finds slices of an accuracy lower than chance explains, the largest loss first.

    Every value of every feature is looked at, and their crosses. A slice is judged by Fisher's
    exact test against all other images. Of many slices some would be low by chance: the share of
    such among those found is held at 5 % (Benjamini and Hochberg, Journal of the Royal Statistical
    Society B 1995). A cross is left out where it is no worse than one of its parts says.

    Args:
        predictions: As `read_predictions` gives them.
        is_right: Whether each answer is right, bool [N].
        settings: The evaluate step's settings.
    """
    from scipy.stats import false_discovery_control

    finder = settings.weak_slices
    by_feature = {}
    for name in _searched(predictions, settings):
        found = list(feature_slices(predictions, name, settings.buckets.get(name)))
        if 2 <= len(found) <= MOST_SEARCHED:
            by_feature[name] = found
    candidates = [
        of_slice
        for size in range(1, finder.crossed + 1)
        for features in itertools.combinations(by_feature, size)
        for of_slice in crossed(features, by_feature, finder.smallest)
    ]
    if not candidates:
        return []
    hits = np.array([is_right[of_slice.places].sum() for of_slice in candidates])
    sizes = np.array([len(of_slice.places) for of_slice in candidates])
    p_values = _fisher(hits, sizes, int(is_right.sum()), len(is_right))
    adjusted = false_discovery_control(p_values)
    significant = np.flatnonzero(adjusted < _SIGNIFICANT)
    kept = _without_restatements(candidates, significant, is_right)
    weak = [_weak_slice(candidates[place], is_right, float(adjusted[place])) for place in kept]
    return sorted(weak, key=lambda found: (found.accuracy - found.rest) * found.count)


def _searched(predictions: "pa.Table", settings: EvaluateSettings) -> Sequence[str]:
    """The features to search, of those that the predictions have."""
    if SLICES not in predictions.column_names:
        return []
    known = [field.name for field in predictions[SLICES].type]
    asked = settings.weak_slices.features
    return known if asked is None else [name for name in asked if name in known]


def _fisher(hits: Any, sizes: Any, all_hits: int, total: int) -> Any:
    """One-sided p-values: how likely so few hits are where all images are alike."""
    from scipy.stats import hypergeom

    return hypergeom.cdf(hits, total, all_hits, sizes)


def _without_restatements(
    slices: Sequence[Slice], significant: Any, is_right: "Bools"
) -> list[int]:
    """Leaves out crosses that are no worse than a significant part of theirs."""
    found = {tuple(slices[place].values.items()): slices[place].places for place in significant}
    kept = []
    for place in significant:
        of_slice = slices[place]
        items = tuple(of_slice.values.items())
        parts = [
            found[part]
            for size in range(1, len(items))
            for part in itertools.combinations(items, size)
            if part in found
        ]
        hits, size = int(is_right[of_slice.places].sum()), len(of_slice.places)
        if all(
            _fisher(hits, size, int(is_right[part].sum()), len(part)) < _SIGNIFICANT
            for part in parts
        ):
            kept.append(int(place))
    return kept


def _weak_slice(of_slice: Slice, is_right: "Bools", p_value: float) -> WeakSlice:
    count, hits = len(of_slice.places), int(is_right[of_slice.places].sum())
    others = len(is_right) - count
    rest = (int(is_right.sum()) - hits) / others if others else 0.0
    return WeakSlice(dict(of_slice.values), count, hits / count, rest, p_value)

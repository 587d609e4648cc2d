"""Which photographs lie in which slice."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from components.evaluate.settings import MOST_VALUES
from darkroom.artifacts.predictions import SLICES
from darkroom.slices import Slicing

if TYPE_CHECKING:
    import pyarrow as pa

Places = npt.NDArray[np.int64]
Buckets = Mapping[str, int | Sequence[float]]
QUANTILES = 4
"""Buckets of a number for which none are stated."""


class Slice(NamedTuple):
    """Some of the photographs.

    Attributes:
        values: Value by feature, such as `{"label": "roses"}`; empty for all of them.
        places: Where they are among the predictions, int64 [n].
    """

    values: Mapping[str, Any]
    places: Places


def find_slices(
    predictions: "pa.Table", slicings: Sequence[Slicing], buckets: Buckets
) -> Iterator[Slice]:
    """All photographs, and then every slice that has any, feature by feature.

    Args:
        predictions: As `read_predictions` gives them.
        slicings: The features to slice by; several at once are a cross.
        buckets: By feature the number of buckets, of equally many photographs each, or the bounds
            between them.
    """
    yield Slice({}, np.arange(len(predictions)))
    by_feature: dict[str, list[tuple[Any, Places]]] = {}
    for features in slicings:
        for name in features:
            if name not in by_feature:
                by_feature[name] = list(feature_slices(predictions, name, buckets.get(name)))
        yield from crossed(features, by_feature)


def crossed(
    features: Slicing,
    by_feature: Mapping[str, Sequence[tuple[Any, Places]]],
    smallest: int = 1,
    within: Slice | None = None,
) -> Iterator[Slice]:
    """The slices of a cross that have photographs.

    Args:
        features: The features.
        by_feature: What `feature_slices` gives of each.
        smallest: Photographs that a slice has at least.
        within: The slice that they are within.
    """
    if not features:
        assert within is not None
        yield within
        return
    for value, having in by_feature[features[0]]:
        values, places = {features[0]: value}, having
        if within is not None:
            values = {**within.values, **values}
            places = np.intersect1d(within.places, having, assume_unique=True)
        if len(places) >= smallest:
            yield from crossed(features[1:], by_feature, smallest, Slice(values, places))


def feature_slices(
    predictions: "pa.Table", name: str, stated: int | Sequence[float] | None
) -> Iterator[tuple[Any, Places]]:
    """Each value of a feature, in its own order, and where the photographs that have it are.

    Args:
        predictions: As `read_predictions` gives them.
        name: The feature.
        stated: How many buckets a number has, or the bounds between them.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    column = pc.struct_field(predictions[SLICES], name).combine_chunks()
    if pa.types.is_list(column.type):
        owners = np.repeat(np.arange(len(column)), np.diff(column.offsets.to_numpy()))
        yield from _grouped(column.values.to_numpy(zero_copy_only=False), owners)
        return
    owners = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    known = column.drop_null().to_numpy(zero_copy_only=False)
    if pa.types.is_string(column.type) or not len(known):
        yield from _grouped(known, owners)
        return
    finite = np.isfinite(known)
    known, owners = known[finite], owners[finite]
    is_whole = pa.types.is_integer(column.type)
    if stated is None and is_whole and len(np.unique(known)) <= MOST_VALUES:
        yield from _grouped(known, owners)
        return
    yield from _bucketed(known, owners, QUANTILES if stated is None else stated)


def _grouped(known: Any, owners: Places) -> Iterator[tuple[Any, Places]]:
    if not len(known):
        return
    values, codes = np.unique(known, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(values)))
    for value, group in zip(values, np.split(owners[order], starts[1:]), strict=True):
        # A photograph that names a label twice is in its slice once.
        yield (value.item() if isinstance(value, np.generic) else value), np.unique(group)


def _bucketed(
    known: Any, owners: Places, stated: int | Sequence[float]
) -> Iterator[tuple[str, Places]]:
    if not len(known):
        return
    if isinstance(stated, int):
        bounds = np.unique(np.quantile(known, np.arange(1, stated) / stated))
        bounds = bounds[bounds > known.min()]  # nothing is below the lowest
    else:
        bounds = np.array(stated, float)
    places = np.searchsorted(bounds, known, "right")
    named = _names(bounds)
    for bucket in range(len(bounds) + 1):
        group = owners[places == bucket]
        if len(group):
            yield named(bucket), group


def _names(bounds: Any) -> Callable[[int], str]:
    """Names of buckets, in as many digits as it takes to tell their bounds apart.

    >>> name = _names(np.array([0.5, 10.0]))
    >>> name(0), name(1), name(2)
    ('below 0.5', '0.5 to 10', '10 and more')
    """
    for digits in range(3, 17):
        texts = [f"{bound:.{digits}g}" for bound in bounds]
        if len(set(texts)) == len(texts):
            break

    def name(bucket: int) -> str:
        if not texts:
            return "all"
        if bucket == 0:
            return f"below {texts[0]}"
        if bucket == len(texts):
            return f"{texts[-1]} and more"
        return f"{texts[bucket - 1]} to {texts[bucket]}"

    return name

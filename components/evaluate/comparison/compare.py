"""Compares the predictions of two models, image by image."""

import dataclasses
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from components.evaluate.bounds import compared
from components.evaluate.settings import EvaluateSettings
from components.evaluate.slices.results import metric_value
from components.evaluate.slices.slicing import feature_slices, find_slices
from darkroom.anytime import always_valid
from darkroom.artifacts.examples import IMAGE_ID
from darkroom.artifacts.predictions import CHAMPION
from darkroom.intervals import bootstrap, difference_of_shares, mcnemar
from darkroom.metrics import known_metrics
from darkroom.metrics.metric import Metric

if TYPE_CHECKING:
    import pyarrow as pa

    from darkroom.answers.answers import Answers, Bools

ACCURACY = "accuracy"
Test = Literal["fixed", "anytime"]


@dataclasses.dataclass(frozen=True)
class Difference:
    """A metric of both models on the same images.

    Attributes:
        metric: The metric's name.
        slice: Value by feature; empty for all images.
        count: Number of images.
        challenger: The new model's value.
        champion: The champion's value.
        gain: By how much the new model is better, whichever direction is better; None where a
            value is missing.
        low: The lower end of the gain's interval; None where there is none.
        high: The upper end.
        newly_right: Of accuracy, images that the new model alone has right.
        newly_wrong: Images that the champion alone has right.
        p_value: Of accuracy, of models that are equally good.
    """

    metric: str
    slice: Mapping[str, Any]
    count: int
    challenger: float | None
    champion: float | None
    gain: float | None
    low: float | None
    high: float | None
    newly_right: int | None = None
    newly_wrong: int | None = None
    p_value: float | None = None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A new model beside the champion.

    Attributes:
        champion: What people call the champion.
        problem: Why it could not be scored; "" if it could.
        overall: The compared metrics over all images, accuracy first.
        slices: The accuracy of every slice.
        outcomes: Images that both models have right, the new one alone, the champion alone, and
            neither.
        suspects: The same of the images whose labels are likely wrong.
        doubt: Why the champion's figures may be too high; "" if nothing speaks for it.
        shares: The accuracy of the photographs that `against_baseline` names, by its key; not of
            those of which there is none.
    """

    champion: str
    problem: str = ""
    overall: tuple[Difference, ...] = ()
    slices: tuple[Difference, ...] = ()
    outcomes: tuple[int, int, int, int] = (0, 0, 0, 0)
    suspects: tuple[int, int, int, int] = (0, 0, 0, 0)
    doubt: str = ""
    shares: Mapping[str, Difference] = dataclasses.field(default_factory=dict)

    def of(self, key: str) -> Difference | None:
        """What a key of `against_baseline` compares; None if there is no such image."""
        overall = (found for found in self.overall if found.metric == key)
        return self.shares.get(key) or next(overall, None)


def compare(
    predictions: "pa.Table",
    champion: str,
    answers: "tuple[Answers, Answers]",
    settings: EvaluateSettings,
    suspects: Collection[str] = (),
) -> Comparison:
    """Compares two models.

    Args:
        predictions: As `read_predictions` gives them, with those of the champion.
        champion: What people call the champion.
        answers: The new model's and the champion's.
        settings: The evaluate step's settings: slices, and the metrics to compare.
        suspects: Identities of the images whose labels are likely wrong.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    theirs = pa.Table.from_struct_array(predictions[CHAMPION].combine_chunks())
    pairs = _is_right(predictions, predictions), _is_right(predictions, theirs)
    suspected = pc.is_in(predictions[IMAGE_ID], pa.array(list(suspects), pa.string()))
    of_suspects = _outcomes(pairs, np.flatnonzero(suspected.to_numpy()))
    everything, *slices = find_slices(predictions, settings.slicings, settings.buckets)
    outcomes = _outcomes(pairs, everything.places)
    known = known_metrics()
    others = [known[name] for name in settings.overall_margins if name != ACCURACY]
    return Comparison(
        champion,
        "",
        (accuracy_difference({}, outcomes, settings.test), *_bootstrapped(others, *answers)),
        tuple(
            accuracy_difference(each.values, _outcomes(pairs, each.places), settings.test)
            for each in slices
        ),
        outcomes,
        of_suspects,
        shares=dict(_shares(predictions, pairs, settings)),
    )


def _shares(
    predictions: "pa.Table", pairs: "tuple[Bools, Bools]", settings: EvaluateSettings
) -> Iterator[tuple[str, Difference]]:
    """The accuracy of the photographs that `against_baseline` names, by its key."""
    for key in settings.against_baseline:
        _, column, value, others = compared(key)
        if not column:
            continue
        having = np.zeros(len(predictions), bool)
        for known, places in feature_slices(predictions, column, settings.buckets.get(column)):
            having[places] |= str(known) == value
        outcomes = _outcomes(pairs, np.flatnonzero(having != others))
        if sum(outcomes):
            of_slice = {column: f"not {value}" if others else value}
            yield key, accuracy_difference(of_slice, outcomes, settings.test)


def _is_right(predictions: "pa.Table", answers: Any) -> "Bools":
    """Whether each image's answer is right, bool [N]; as the model itself gave it."""
    import pyarrow.compute as pc

    if "predicted_labels" not in predictions.column_names:
        right: Bools = pc.equal(answers["predicted_label"], predictions["label"]).to_numpy()
        return right
    pairs = zip(
        answers["predicted_labels"].to_pylist(), predictions["labels"].to_pylist(), strict=True
    )
    return np.array([set(given) == set(labels) for given, labels in pairs])


def _outcomes(pairs: "tuple[Bools, Bools]", places: Any) -> tuple[int, int, int, int]:
    new, old = (right[places] for right in pairs)
    counts = (new & old, new & ~old, ~new & old, ~new & ~old)
    both, newly_right, newly_wrong, neither = (int(each.sum()) for each in counts)
    return both, newly_right, newly_wrong, neither


def accuracy_difference(
    of_slice: Mapping[str, Any], outcomes: tuple[int, int, int, int], test: Test = "fixed"
) -> Difference:
    """The difference in accuracy.

    Args:
        of_slice: Value by feature; empty for all images.
        outcomes: Images that both models have right, the new one alone, the champion alone, and
            neither.
        test: Whether interval and p-value are of one look, or hold at every look.
    """
    both, newly_right, newly_wrong, neither = outcomes
    count = both + newly_right + newly_wrong + neither
    if test == "anytime":
        p_value, interval = always_valid(newly_right, newly_wrong, count)
    else:
        p_value = mcnemar(newly_right, newly_wrong)
        interval = difference_of_shares(both, newly_right, newly_wrong, neither)
    return Difference(
        metric=ACCURACY,
        slice=of_slice,
        count=count,
        challenger=(both + newly_right) / count,
        champion=(both + newly_wrong) / count,
        gain=(newly_right - newly_wrong) / count,
        low=interval.low,
        high=interval.high,
        newly_right=newly_right,
        newly_wrong=newly_wrong,
        p_value=p_value,
    )


def _bootstrapped(
    metrics: Sequence[Metric], challenger: "Answers", champion: "Answers"
) -> list[Difference]:
    """Differences of metrics that have no interval in closed form."""
    if not metrics:
        return []

    def gains(places: Any) -> list[float | None]:
        new, old = challenger.take(places), champion.take(places)
        return [_gain(metric, _value(metric, new), _value(metric, old)) for metric in metrics]

    count = challenger.count
    intervals = bootstrap(gains, count)
    differences = []
    for metric, interval in zip(metrics, intervals, strict=True):
        new, old = _value(metric, challenger), _value(metric, champion)
        low, high = (None, None) if interval is None else interval
        gain = _gain(metric, new, old)
        differences.append(Difference(metric.name, {}, count, new, old, gain, low, high))
    return differences


def _gain(metric: Metric, new: float | None, old: float | None) -> float | None:
    if new is None or old is None:
        return None
    return old - new if metric.direction == "lower" else new - old


def _value(metric: Metric, answers: "Answers") -> float | None:
    value = metric_value(metric, answers)
    return value if value is not None and math.isfinite(value) else None

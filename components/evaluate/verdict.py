"""The verdict: each metric against its bounds, over all images and in every slice."""

import dataclasses
import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.evaluate.bounds import Threshold
from components.evaluate.comparison.compare import Comparison
from components.evaluate.comparison.decision import doubts as comparison_doubts
from components.evaluate.comparison.decision import failures
from components.evaluate.settings import EvaluateSettings
from components.evaluate.slices.fairness import Gap, undecided

ALL_IMAGES = "all images"
_CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Check:
    """One metric of one slice against one bound.

    Attributes:
        metric: The metric's name.
        slice: `feature=value`, or `all images`.
        count: Number of images in the slice.
        value: The metric; None where it is not a number.
        bound: `at_least` or `at_most`.
        limit: The bound's own value.
        passed: None where the slice is too small to decide.
    """

    metric: str
    slice: str
    count: int
    value: float | None
    bound: str
    limit: float
    passed: bool | None

    @property
    def shown(self) -> str:
        """The value in three digits, or in as many more as it takes to differ from the limit."""
        if self.value is None:
            return "not a number"
        for digits in range(3, 17):
            text = f"{self.value:.{digits}g}"
            if float(text) != self.limit:
                return text
        return repr(self.value)

    @property
    def reason(self) -> str:
        """Why the check failed, in one line."""
        over_all = self.slice == ALL_IMAGES
        name = self.metric if over_all else f"{self.metric} for {self.slice}"
        images = "" if over_all else f" ({_images(self.count)})"
        if self.value is None:
            return f"{name} is {self.shown}{images}"
        side = "below" if self.bound == "at_least" else "above"
        return f"{name} {self.shown} is {side} {self.limit:.12g}{images}"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether a model may serve, and why.

    Attributes:
        blessed: Whether nothing failed.
        reasons: One line for every failure.
        checks: Every check, in the order of the thresholds.
        doubts: What makes the verdict less than sure, one line each.
        comparison: The model beside the champion; None if there is none.
    """

    blessed: bool
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    doubts: tuple[str, ...] = ()
    comparison: Comparison | None = None

    def as_json(self) -> dict[str, Any]:
        """The verdict as a JSON value."""
        return dataclasses.asdict(self)


def judge(
    results: Sequence[Mapping[str, Any]],
    settings: EvaluateSettings,
    not_numbers: int = 0,
    comparison: Comparison | None = None,
    gaps: Sequence[Gap] = (),
) -> Verdict:
    """Checks results against the thresholds and the champion.

    Without a threshold and a champion a model is blessed, as long as its probabilities are numbers.

    Args:
        results: The results of all images and then of every slice, as `compute_results` gives them.
        settings: The thresholds, and the smallest slice that decides.
        not_numbers: Images with a probability that is not a number; one is enough to fail.
        comparison: The model beside the champion; None if there is none.
        gaps: How differently groups are treated.
    """
    checks = tuple(
        check
        for metric, threshold in settings.thresholds.items()
        for check in _checks(metric, threshold, results, settings.minimum_slice_size)
    )
    reasons = [check.reason for check in checks if check.passed is False]
    if settings.if_undecided == "fail":
        reasons += _undecided(checks, settings)
    reasons += [gap.reason for gap in gaps if gap.holds is False]
    if settings.if_undecided == "fail":
        reasons += filter(None, map(undecided, gaps))
    if not_numbers:
        reasons.append(f"the probabilities of {_images(not_numbers)} are not numbers")
    doubt = too_few_images(settings, results[0]["count"]) if results else None
    doubts = [doubt] if doubt else []
    if comparison is not None:
        reasons += failures(comparison, settings)
        doubts += comparison_doubts(comparison, settings)
    return Verdict(not reasons, tuple(reasons), checks, tuple(doubts), comparison)


def too_few_images(settings: EvaluateSettings, images: int) -> str | None:
    """Why the test split is too small to decide the accuracy, in one line; None if it is not.

    With every one of n images right, the accuracy is above 0.05^(1/n) with 95 % confidence
    (Clopper and Pearson, Biometrika 1934).
    """
    threshold = settings.thresholds.get("accuracy")
    limit = threshold.at_least if threshold else None
    if limit is None or not 0 < limit < 1:
        return None
    needed = math.ceil(math.log(1 - _CONFIDENCE) / math.log(limit))
    if images >= needed:
        return None
    return (
        f"the test split is too small to decide an accuracy of {limit:.12g}: it has "
        f"{_images(images)}; from {needed:,} on, all of them right, it would be sure (95 %)"
    )


def slice_name(values: Mapping[str, Any]) -> str:
    """A slice in words.

    >>> slice_name({"label": "roses"})
    'label=roses'
    >>> slice_name({})
    'all images'
    """
    return ", ".join(f"{name}={value}" for name, value in values.items()) or ALL_IMAGES


def _checks(
    metric: str, threshold: Threshold, results: Sequence[Mapping[str, Any]], minimum_size: int
) -> Iterator[Check]:
    for result in results:
        prefix = "every_slice_" if result["slice"] else ""
        # A metric that a slice cannot have, such as the AUC of one single label, is left out
        # of its metrics and decides nothing there; over all images a missing metric fails.
        if prefix and metric not in result["metrics"]:
            continue
        value = result["metrics"].get(metric)
        for bound, holds in (("at_least", operator.ge), ("at_most", operator.le)):
            limit = getattr(threshold, prefix + bound)
            if limit is not None:
                decides = not prefix or result["count"] >= minimum_size
                passed = (value is not None and holds(value, limit)) if decides else None
                name, count = slice_name(result["slice"]), result["count"]
                yield Check(metric, name, count, value, bound, limit, passed)


def _undecided(checks: Sequence[Check], settings: EvaluateSettings) -> Iterator[str]:
    """A line for every bound on slices that no slice decides."""
    for metric, threshold in settings.thresholds.items():
        for bound in ("at_least", "at_most"):
            limit = getattr(threshold, f"every_slice_{bound}")
            of_slices = [
                check
                for check in checks
                if (check.metric, check.bound) == (metric, bound) and check.slice != ALL_IMAGES
            ]
            if limit is not None and all(check.passed is None for check in of_slices):
                why = (
                    f"all have fewer than {settings.minimum_slice_size} images"
                    if of_slices
                    else "none has this metric"
                )
                yield (
                    f"no slice decides {metric}'s every_slice_{bound} {limit:.12g}: {why} "
                    "(to bless all the same: evaluate.if_undecided: pass)"
                )


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"
